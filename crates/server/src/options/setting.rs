//! Between the values that people write and the fields of a configuration.
//!
//! One small trait, implemented for each field type, lets the table name a field and nothing more.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bongsu_core::ChannelPattern;
use bongsu_core::policy::Durability;

use super::kind::{AUTO, Value};
use crate::config::{Cors, Engine, LogFormat, LogLevel};

/// A field that an option can set.
pub(super) trait Setting: Sized {
    /// The field as a value; `None` when nothing is set.
    fn to_value(&self) -> Option<Value>;

    /// The field of that value; `None` when the value is of another kind.
    fn from_value(value: Value) -> Option<Self>;

    /// Puts the value into the field; false when it is of another kind.
    fn assign(&mut self, value: Value) -> bool {
        match Self::from_value(value) {
            Some(field) => {
                *self = field;
                true
            }
            None => false,
        }
    }
}

/// An enumeration that is written as one of some words.
pub(super) trait Words: Sized + Copy + PartialEq + 'static {
    /// Each word and what it means.
    const ALL: &'static [(&'static str, Self)];
}

/// The words alone, for [`Kind::Choice`](super::Kind::Choice).
pub(super) const fn words<T: Words, const N: usize>() -> [&'static str; N] {
    assert!(T::ALL.len() == N, "N is the number of words");
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = T::ALL[index].0;
        index += 1;
    }
    words
}

impl Words for Engine {
    const ALL: &'static [(&'static str, Self)] = &[("embedded", Self::Embedded), ("memory", Self::Memory)];
}

impl Words for Durability {
    const ALL: &'static [(&'static str, Self)] = &[("fsync", Self::Fsync), ("os", Self::Os), ("memory", Self::Memory)];
}

impl Words for LogFormat {
    const ALL: &'static [(&'static str, Self)] = &[("human", Self::Human), ("json", Self::Json)];
}

impl Words for LogLevel {
    const ALL: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

/// Fields that have a variant of [`Value`] of their own type, or are written in words.
macro_rules! settings {
    (values { $($type:ty: $variant:ident,)* } words { $($enumeration:ty,)* }) => {
        $(impl Setting for $type {
            fn to_value(&self) -> Option<Value> {
                Some(Value::$variant(self.clone()))
            }

            fn from_value(value: Value) -> Option<Self> {
                if let Value::$variant(field) = value { Some(field) } else { None }
            }
        })*
        $(impl Setting for $enumeration {
            fn to_value(&self) -> Option<Value> {
                <$enumeration as Words>::ALL.iter().find(|(_, meant)| meant == self).map(|(word, _)| Value::Word(word))
            }

            fn from_value(value: Value) -> Option<Self> {
                let Value::Word(word) = value else { return None };
                <$enumeration as Words>::ALL.iter().find(|(known, _)| *known == word).map(|(_, meant)| *meant)
            }
        })*
    };
}

settings! {
    values {
        SocketAddr: Address,
        PathBuf: Path,
        bool: Flag,
        u64: Number,
        Duration: Time,
        Cors: Cors,
        ChannelPattern: Pattern,
    }
    words {
        Engine,
        Durability,
        LogFormat,
        LogLevel,
    }
}

impl Setting for usize {
    fn to_value(&self) -> Option<Value> {
        u64::try_from(*self).ok().map(Value::Number)
    }

    fn from_value(value: Value) -> Option<Self> {
        u64::from_value(value).map(crate::config::bytes_in_memory)
    }
}

impl Setting for u32 {
    fn to_value(&self) -> Option<Value> {
        Some(Value::Number((*self).into()))
    }

    fn from_value(value: Value) -> Option<Self> {
        u64::from_value(value).and_then(|number| number.try_into().ok())
    }
}

/// A number that the server finds itself unless it is said. As an `Option` nothing would stand for "not set".
pub(super) fn auto_to_value(field: &Option<usize>) -> Option<Value> {
    field.map_or(Some(Value::Word(AUTO)), |number| number.to_value())
}

/// Puts the value into such a field; false when it is of another kind.
pub(super) fn assign_auto(field: &mut Option<usize>, value: Value) -> bool {
    if value == Value::Word(AUTO) {
        *field = None;
        return true;
    }
    field.assign(value)
}

impl<T: Setting> Setting for Option<T> {
    fn to_value(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        T::from_value(value).map(Some)
    }
}
