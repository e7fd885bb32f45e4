//! The list of fields that a structure is: type, packing and unpacking come from it.

/// Declares structures: documentation, name, wire name, and a line a field (`field "wireName" (kind)`).
///
/// Kinds: `int`, `intptr`, `double`, `str CAPACITY`, `strptr`, `struct TYPE`, `structptr TYPE`.
macro_rules! pi {
    ($( $(#[$meta:meta])* $name:ident $wire:literal {
        $( $field:ident $fwire:literal ($($kind:tt)+) ),* $(,)?
    } )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            $(
                #[doc = concat!("`", $fwire, "`")]
                pub $field: $crate::pack::pi_type!($($kind)+),
            )*
        }

        impl $crate::pack::Pi for $name {
            const NAME: &'static str = $wire;

            fn pack(&self, packer: &mut $crate::pack::Packer) -> Result<(), $crate::error::PackError> {
                #[allow(unused_variables)]
                packer.begin($wire, |p| {
                    $( $crate::pack::pi_pack!(p, self.$field, $fwire, $($kind)+); )*
                    Ok(())
                })
            }

            fn unpack(unpacker: &mut $crate::pack::Unpacker<'_>) -> Result<Self, $crate::error::UnpackError> {
                #[allow(unused_variables)]
                unpacker.begin($wire, |u| {
                    Ok($name { $( $field: $crate::pack::pi_unpack!(u, $fwire, $($kind)+), )* })
                })
            }
        }

        #[cfg(test)]
        impl $crate::sample::Sample for $name {
            fn sample(source: &mut $crate::sample::Source) -> Self {
                $name { $( $field: $crate::sample::pi_sample!(source, $($kind)+), )* }
            }
        }
    )+};
}

macro_rules! pi_type {
    (int) => { i32 };
    (intptr) => { Option<i32> };
    (double) => { i64 };
    (str $cap:expr) => { String };
    (strptr) => { Option<String> };
    (struct $ty:ty) => { $ty };
    (structptr $ty:ty) => { Option<$ty> };
}

macro_rules! pi_pack {
    ($p:ident, $value:expr, $wire:literal, int) => {
        $p.int($wire, $value)
    };
    ($p:ident, $value:expr, $wire:literal, intptr) => {
        $p.int_ptr($wire, $value)
    };
    ($p:ident, $value:expr, $wire:literal, double) => {
        $p.double($wire, $value)
    };
    ($p:ident, $value:expr, $wire:literal, str $cap:expr) => {
        $p.text($wire, $cap, $value.as_bytes())?
    };
    ($p:ident, $value:expr, $wire:literal, strptr) => {
        $p.text_ptr($wire, $value.as_deref())?
    };
    ($p:ident, $value:expr, $wire:literal, struct $ty:ty) => {
        $value.pack($p)?
    };
    ($p:ident, $value:expr, $wire:literal, structptr $ty:ty) => {
        $p.struct_ptr($value.as_ref())?
    };
}

macro_rules! pi_unpack {
    ($u:ident, $wire:literal, int) => {
        $u.int($wire)?
    };
    ($u:ident, $wire:literal, intptr) => {
        $u.int_ptr($wire)?
    };
    ($u:ident, $wire:literal, double) => {
        $u.double($wire)?
    };
    ($u:ident, $wire:literal, str $cap:expr) => {
        $u.text($wire, $cap)?
    };
    ($u:ident, $wire:literal, strptr) => {
        $u.text_ptr($wire)?
    };
    ($u:ident, $wire:literal, struct $ty:ty) => {
        <$ty as $crate::pack::Pi>::unpack($u)?
    };
    ($u:ident, $wire:literal, structptr $ty:ty) => {
        $u.struct_ptr::<$ty>()?
    };
}

pub(crate) use {pi, pi_pack, pi_type, pi_unpack};
