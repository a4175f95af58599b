//! What a request and a response share: the traits of `http_types`' own types, and the way between these and ours.

/// The traits of a type that has `made`, `made_mut`, `into_made`, `header`, `came` and `made`, the field.
macro_rules! message {
    ($Message:ident) => {
        impl std::ops::Deref for $Message {
            type Target = theirs::$Message;

            fn deref(&self) -> &theirs::$Message {
                self.made()
            }
        }

        impl std::ops::DerefMut for $Message {
            fn deref_mut(&mut self) -> &mut theirs::$Message {
                self.made_mut()
            }
        }

        impl From<theirs::$Message> for $Message {
            fn from(made: theirs::$Message) -> Self {
                Self {
                    came: None,
                    made: std::sync::OnceLock::from(Box::new(made) as Box<_>),
                }
            }
        }

        impl From<$Message> for theirs::$Message {
            fn from(message: $Message) -> Self {
                message.into_made()
            }
        }

        impl AsRef<theirs::$Message> for $Message {
            fn as_ref(&self) -> &theirs::$Message {
                self.made()
            }
        }

        impl AsMut<theirs::$Message> for $Message {
            fn as_mut(&mut self) -> &mut theirs::$Message {
                self.made_mut()
            }
        }

        impl AsRef<theirs::Headers> for $Message {
            fn as_ref(&self) -> &theirs::Headers {
                self.made().as_ref()
            }
        }

        impl AsMut<theirs::Headers> for $Message {
            fn as_mut(&mut self) -> &mut theirs::Headers {
                self.made_mut().as_mut()
            }
        }

        impl std::fmt::Debug for $Message {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.made().fmt(f)
            }
        }

        impl std::ops::Index<theirs::headers::HeaderName> for $Message {
            type Output = HeaderValues;

            /// # Panics
            /// If there is no header of this name.
            fn index(&self, name: HeaderName) -> &HeaderValues {
                match self.header(name) {
                    Some(values) => values,
                    None => panic!("no entry found for name"),
                }
            }
        }

        impl std::ops::Index<&str> for $Message {
            type Output = HeaderValues;

            /// # Panics
            /// If there is no header of this name, or the name is not ASCII.
            fn index(&self, name: &str) -> &HeaderValues {
                &self[HeaderName::from(name)]
            }
        }

        impl IntoIterator for $Message {
            type Item = (HeaderName, HeaderValues);
            type IntoIter = theirs::headers::IntoIter;

            fn into_iter(self) -> Self::IntoIter {
                self.into_made().into_iter()
            }
        }

        impl<'a> IntoIterator for &'a $Message {
            type Item = (&'a HeaderName, &'a HeaderValues);
            type IntoIter = theirs::headers::Iter<'a>;

            fn into_iter(self) -> Self::IntoIter {
                self.made().iter()
            }
        }

        impl<'a> IntoIterator for &'a mut $Message {
            type Item = (&'a HeaderName, &'a mut HeaderValues);
            type IntoIter = theirs::headers::IterMut<'a>;

            fn into_iter(self) -> Self::IntoIter {
                self.made_mut().iter_mut()
            }
        }

        impl futures_lite::AsyncRead for $Message {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buf: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(self.get_mut().made_mut()).poll_read(cx, buf)
            }
        }

        impl futures_lite::AsyncBufRead for $Message {
            fn poll_fill_buf(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<&[u8]>> {
                std::pin::Pin::new(self.get_mut().made_mut()).poll_fill_buf(cx)
            }

            fn consume(self: std::pin::Pin<&mut Self>, amount: usize) {
                std::pin::Pin::new(self.get_mut().made_mut()).consume(amount);
            }
        }
    };
}

pub(super) use message;
