"""Prints the AVUs of a collection and of all data objects below it, one a line: path, attribute, value and units, tabs between."""

import sys

from irods.helpers import make_session


def show(what):
    for avu in what.metadata.items():
        print(what.path, avu.name, avu.value, avu.units or "", sep="\t")


with make_session() as session:
    top = session.collections.get(sys.argv[1])
    show(top)
    for _, _, objects in top.walk():
        for data_object in objects:
            show(data_object)
