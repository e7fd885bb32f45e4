"""What handlers derive from: each event calls pre_EVENT, then what is to be done, then post_EVENT."""


def _around(event):
    def on_event(cls, func, *args, **options):
        before = getattr(cls, "pre_" + event, None)
        after = getattr(cls, "post_" + event, None)
        if before is not None:
            before(*args, **options)
        func(*args, **options)
        if after is not None:
            after(*args, **options)

    on_event.__name__ = "on_" + event
    return classmethod(on_event)


class Core:
    on_data_obj_create = _around("data_obj_create")
    on_data_obj_modify = _around("data_obj_modify")
    on_data_obj_delete = _around("data_obj_delete")
    on_coll_create = _around("coll_create")
    on_coll_modify = _around("coll_modify")
    on_coll_delete = _around("coll_delete")
