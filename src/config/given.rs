//! Lets serde's derived code read JSON, with error messages for operators. A message names the
//! option by its full path, and says what the option accepts and what kind of value was given. It
//! never contains the value, which may be a secret.
//!
//! Two macros define the option types for which a derived struct is not enough.

use std::fmt::Display;
use std::iter::Enumerate;
use std::vec::IntoIter;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde_json::{Map, Value};

use crate::error::Error;

/// The name that marks a value that JSON cannot represent: `{"$not": "a function"}`.
const NOT: &str = "$not";

/// A value of the options.
pub(super) struct Given(pub(super) Value);

/// What is wrong with an option.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// There is no option with this name.
    #[error("unknown option {0}; see SessionStoreConfig in index.d.ts for the options there are")]
    Unknown(String),
    /// The name of the option, empty until it is known, and what its value must be.
    #[error("{0} {1}")]
    Wrong(String, String),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        Error::Config(fault.to_string())
    }
}

impl Fault {
    /// The same fault, for a value inside the option `outer`.
    fn inside(self, outer: &str) -> Fault {
        let path = |name: String| match name.as_str() {
            "" => outer.to_owned(),
            element if element.starts_with('[') => format!("{outer}{element}"),
            member => format!("{outer}.{member}"),
        };
        match self {
            Fault::Unknown(name) => Fault::Unknown(path(name)),
            Fault::Wrong(name, what) => Fault::Wrong(path(name), what),
        }
    }
}

/// What a number is that JSON has and `u64` has not.
fn of_no_whole_number(number: f64) -> &'static str {
    if number < 0.0 {
        "a negative number"
    } else if number.fract() == 0.0 {
        "a number that is too large"
    } else {
        "a fraction"
    }
}

impl serde::de::Error for Fault {
    fn custom<T: Display>(what: T) -> Fault {
        Fault::Wrong(String::new(), what.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        let found = match found {
            Unexpected::Unit => "null",
            Unexpected::Bool(_) => "a boolean",
            Unexpected::Float(number) => of_no_whole_number(number),
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
            Unexpected::Str(_) => "a string",
            Unexpected::Seq => "an array",
            Unexpected::Other(what) => what,
            _ => "an object",
        };
        Fault::custom(format_args!("must be {expected}, not {found}"))
    }

    /// The kind of the value is right, so that its name would say nothing: "must be 1 or 2, not a
    /// number".
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Fault {
        let found = match found {
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => Unexpected::Other("another number"),
            Unexpected::Str(_) => Unexpected::Other("another string"),
            Unexpected::Seq => Unexpected::Other("an empty array"),
            found => found,
        };
        Fault::invalid_type(found, expected)
    }

    fn unknown_field(name: &str, _: &'static [&'static str]) -> Fault {
        Fault::Unknown(name.to_owned())
    }

    fn missing_field(name: &'static str) -> Fault {
        Fault::Wrong(
            name.to_owned(),
            "is missing; see SessionStoreConfig in index.d.ts for what it takes".to_owned(),
        )
    }
}

impl<'de> Deserializer<'de> for Given {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => match number.as_u64() {
                Some(number) => visitor.visit_u64(number),
                None => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(values) => visitor.visit_seq(Elements(values.into_iter().enumerate())),
            Value::Object(members) => match members.get(NOT) {
                Some(Value::String(what)) => {
                    Err(Fault::invalid_type(Unexpected::Other(what), &visitor))
                }
                _ => visitor.visit_map(Members::of(members)),
            },
        }
    }

    /// Options that are left out are not in the JSON. `null` does not leave an option out.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    /// Refuses arrays, which derived code would read as objects without names.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.0 {
            Value::Array(_) => Err(Fault::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
        ignored_any
    }
}

/// The elements of an array. It adds their numbers to their faults.
struct Elements(Enumerate<IntoIter<Value>>);

impl<'de> SeqAccess<'de> for Elements {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, value)) = self.0.next() else {
            return Ok(None);
        };
        let element = seed.deserialize(Given(value)).map(Some);
        element.map_err(|fault| fault.inside(&format!("[{index}]")))
    }
}

/// The members of an object. It adds their names to their faults.
struct Members {
    left: serde_json::map::IntoIter,
    /// The member whose value is read next.
    member: (String, Value),
}

impl Members {
    fn of(members: Map<String, Value>) -> Members {
        Members {
            left: members.into_iter(),
            member: Default::default(),
        }
    }
}

impl<'de> MapAccess<'de> for Members {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(member) = self.left.next() else {
            return Ok(None);
        };
        self.member = member;
        let name: StrDeserializer<'_, Fault> = self.member.0.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = std::mem::take(&mut self.member);
        seed.deserialize(Given(value))
            .map_err(|fault| fault.inside(&name))
    }
}

/// `option_type! { Type, "what it takes", visits }`: reads the type from JSON with the given
/// methods of [`Visitor`]. It refuses all other JSON with that text.
macro_rules! option_type {
    ($type:ty, $expected:literal, $($visits:tt)+) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(given: D) -> Result<$type, D::Error> {
                struct Takes;
                impl<'de> serde::de::Visitor<'de> for Takes {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    $($visits)+
                }
                given.deserialize_any(Takes)
            }
        }
    };
}

/// `text_type! { Type, "the rule", whether_it_holds }`: a string type whose values satisfy the
/// rule.
macro_rules! text_type {
    ($(#[$doc:meta])* $type:ident, $rule:literal, $holds:expr) => {
        $(#[$doc])*
        #[derive(Clone, serde::Deserialize)]
        #[serde(try_from = "String")]
        pub(super) struct $type(pub(super) String);

        impl TryFrom<String> for $type {
            type Error = &'static str;

            fn try_from(text: String) -> Result<$type, &'static str> {
                let holds: fn(&str) -> bool = $holds;
                if holds(&text) {
                    Ok($type(text))
                } else {
                    Err(concat!("must be ", $rule))
                }
            }
        }
    };
}

pub(super) use {option_type, text_type};
