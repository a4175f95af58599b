//! What requests and responses share: headers, extensions, and a body.

/// Implements it for a type whose field `inner` is the message of `http_types`.
macro_rules! message {
    ($Message:ident) => {
        impl $Message {
            /// The values of a header.
            pub fn header(&self, name: impl Into<HeaderName>) -> Option<&HeaderValues> {
                self.inner.header(name)
            }

            /// The values of a header, mutably.
            pub fn header_mut(&mut self, name: impl Into<HeaderName>) -> Option<&mut HeaderValues> {
                self.inner.header_mut(name)
            }

            /// Adds a header to those of the same name.
            pub fn append_header(
                &mut self,
                name: impl Into<HeaderName>,
                values: impl ToHeaderValues,
            ) {
                self.inner.append_header(name, values);
            }

            /// Removes a header.
            pub fn remove_header(&mut self, name: impl Into<HeaderName>) -> Option<HeaderValues> {
                self.inner.remove_header(name)
            }

            /// All headers.
            #[must_use]
            pub fn iter(&self) -> headers::Iter<'_> {
                self.inner.iter()
            }

            /// All headers, with mutable values.
            #[must_use]
            pub fn iter_mut(&mut self) -> headers::IterMut<'_> {
                self.inner.iter_mut()
            }

            /// The names of all headers.
            #[must_use]
            pub fn header_names(&self) -> headers::Names<'_> {
                self.inner.header_names()
            }

            /// The values of all headers.
            #[must_use]
            pub fn header_values(&self) -> headers::Values<'_> {
                self.inner.header_values()
            }

            /// A value that middleware stored for others, by its type.
            #[must_use]
            pub fn ext<T: Send + Sync + 'static>(&self) -> Option<&T> {
                self.inner.ext().get()
            }

            /// The `content-type`.
            pub fn content_type(&self) -> Option<Mime> {
                self.inner.content_type()
            }

            /// The length of the body in bytes, if it is known.
            #[allow(clippy::len_without_is_empty)] // It gives an `Option`.
            pub fn len(&self) -> Option<usize> {
                self.inner.len()
            }

            /// Whether the body is empty, if that is known.
            pub fn is_empty(&self) -> Option<bool> {
                self.inner.is_empty()
            }

            /// Sets the body.
            pub fn set_body(&mut self, body: impl Into<Body>) {
                self.inner.set_body(body);
            }

            /// Takes the body out.
            pub fn take_body(&mut self) -> Body {
                self.inner.take_body()
            }
        }

        impl From<http::$Message> for $Message {
            fn from(inner: http::$Message) -> Self {
                Self::of(inner)
            }
        }

        impl From<$Message> for http::$Message {
            fn from(message: $Message) -> Self {
                message.inner
            }
        }

        impl From<valor_abi_http::$Message> for $Message {
            fn from(message: valor_abi_http::$Message) -> Self {
                Self::of(message.into())
            }
        }

        impl From<$Message> for valor_abi_http::$Message {
            fn from(message: $Message) -> Self {
                message.inner.into()
            }
        }

        impl AsRef<http::$Message> for $Message {
            fn as_ref(&self) -> &http::$Message {
                &self.inner
            }
        }

        impl AsMut<http::$Message> for $Message {
            fn as_mut(&mut self) -> &mut http::$Message {
                &mut self.inner
            }
        }

        impl AsRef<http::Headers> for $Message {
            fn as_ref(&self) -> &http::Headers {
                self.inner.as_ref()
            }
        }

        impl AsMut<http::Headers> for $Message {
            fn as_mut(&mut self) -> &mut http::Headers {
                self.inner.as_mut()
            }
        }

        impl Index<HeaderName> for $Message {
            type Output = HeaderValues;

            fn index(&self, name: HeaderName) -> &HeaderValues {
                &self.inner[name]
            }
        }

        impl Index<&str> for $Message {
            type Output = HeaderValues;

            fn index(&self, name: &str) -> &HeaderValues {
                &self.inner[name]
            }
        }
    };
}
