//! The way to and from surf's messages, as `http_types`' own go: whatever takes those of `http_types` takes these.

use super::{Request, Response};
use http_types as theirs;

macro_rules! convert {
    ($($Message:ident)*) => {$(
        impl From<surf::$Message> for $Message {
            fn from(message: surf::$Message) -> Self {
                let message: theirs::$Message = message.into();
                message.into()
            }
        }

        impl From<$Message> for surf::$Message {
            fn from(message: $Message) -> Self {
                theirs::$Message::from(message).into()
            }
        }
    )*};
}

convert!(Request Response);
