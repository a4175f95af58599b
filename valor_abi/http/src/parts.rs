//! Builds a `Url` from its parts. Only `url`'s parser and serde can create one, so this is a deserializer for the parts
//! as `Url` stores them, and for nothing else. `assemble` calls it.
//!
//! `serde_json`'s deserializer would work too, but its numbers, texts and errors add 10 KB to a module.

use http_types::Url;
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, EnumAccess, SeqAccess, VariantAccess, Visitor},
    forward_to_deserialize_any,
};
use std::fmt::{self, Display};

/// A URL's host.
#[derive(Clone, Copy)]
pub(crate) enum Host {
    Domain,
    Ipv4([u8; 4]),
    Ipv6([u8; 16]),
}

/// Where the parts of an HTTP URL without userinfo are in its text.
pub(crate) struct Parts {
    pub text: String,
    pub scheme_end: usize,
    pub host_start: usize,
    pub host_end: usize,
    pub host: Host,
    pub port: Option<u16>,
    pub path_start: usize,
    pub query_start: Option<usize>,
    pub fragment_start: Option<usize>,
}

impl Parts {
    /// The URL; `None` if it is longer than `Url` can be.
    pub fn into_url(self) -> Option<Url> {
        // And so is every place in it.
        u32::try_from(self.text.len()).ok()?;
        let at = |place: usize| Part::Number(place as u32);
        let maybe = |place: Option<usize>| place.map_or(Part::Nothing, at);
        let parts = [
            Part::Text(self.text),
            at(self.scheme_end),
            at(self.host_start),
            at(self.host_start),
            at(self.host_end),
            Part::Host(self.host),
            maybe(self.port.map(usize::from)),
            at(self.path_start),
            maybe(self.query_start),
            maybe(self.fragment_start),
        ];
        Url::deserialize_internal(Sequence(parts.into_iter())).ok()
    }
}

/// A field of `Url`.
enum Part {
    Text(String),
    Number(u32),
    Nothing,
    Host(Host),
}

/// The parts do not fit `Url`: its representation has changed.
#[derive(Debug)]
pub(crate) struct Changed;

impl Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`Url` is made of other parts")
    }
}

impl de::Error for Changed {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

impl std::error::Error for Changed {}

/// Fields, or the bytes of an address, one after the other.
struct Sequence<I>(I);

/// `deserialize_any` for everything that the type does not look at, which is nearly all of it.
macro_rules! any {
    ($($more:ident)*) => {
        fn is_human_readable(&self) -> bool {
            false
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
            unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any $($more)*
        }
    };
}

impl<'de, I, T> Deserializer<'de> for Sequence<I>
where
    I: Iterator<Item = T>,
    T: Deserializer<'de, Error = Changed>,
{
    type Error = Changed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Changed> {
        visitor.visit_seq(self)
    }

    any!(option enum);
}

impl<'de, I, T> SeqAccess<'de> for Sequence<I>
where
    I: Iterator<Item = T>,
    T: Deserializer<'de, Error = Changed>,
{
    type Error = Changed;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Changed> {
        self.0.next().map(|part| seed.deserialize(part)).transpose()
    }
}

impl<'de> Deserializer<'de> for Part {
    type Error = Changed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Changed> {
        match self {
            Self::Text(text) => visitor.visit_string(text),
            Self::Number(number) => visitor.visit_u32(number),
            Self::Nothing => visitor.visit_none(),
            Self::Host(host) => visitor.visit_enum(host),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Changed> {
        match self {
            Self::Nothing => visitor.visit_none(),
            part => visitor.visit_some(part),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Changed> {
        self.deserialize_any(visitor)
    }

    any!();
}

impl<'de> EnumAccess<'de> for Host {
    type Error = Changed;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Changed> {
        let name = match self {
            Self::Domain => "Domain",
            Self::Ipv4(_) => "Ipv4",
            Self::Ipv6(_) => "Ipv6",
        };
        let name = de::value::StrDeserializer::new(name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Host {
    type Error = Changed;

    fn unit_variant(self) -> Result<(), Changed> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Changed> {
        let bytes: &[u8] = match &self {
            Self::Domain => return Err(Changed),
            Self::Ipv4(bytes) => bytes,
            Self::Ipv6(bytes) => bytes,
        };
        let bytes = bytes.iter().copied().map(de::value::U8Deserializer::new);
        seed.deserialize(Sequence(bytes))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _: V) -> Result<V::Value, Changed> {
        Err(Changed)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Changed> {
        Err(Changed)
    }
}
