//! The `Authorization` header: exactly one, of bounded size, split into its scheme's parts.
//!
//! Pure. Strict: one space behind the scheme and nothing behind the credentials, so that no two readers of the same
//! header disagree about what it says.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::header::{AUTHORIZATION, HeaderMap};
use zeroize::Zeroizing;

/// Before anything is parsed. RSA tokens of real issuers stay below 4 KiB.
pub const LONGEST_TOKEN: usize = 8 * 1024;
/// A name of 256 bytes and a password of 72, in base64, with room to spare.
const LONGEST_BASIC: usize = 1024;
/// bcrypt reads no further: whatever stood behind could be left out or exchanged, so it is refused.
const LONGEST_PASSWORD: usize = 72;

/// What somebody shows.
pub enum Credentials<'a> {
    /// RFC 7617.
    Basic(Login),
    /// RFC 6750: within the allowed length, of the characters of `b68token`.
    Bearer(&'a str),
}

/// A name and a password, neither of which has been checked.
pub struct Login {
    /// Without colon and control characters.
    pub name: String,
    /// From 1 to 72 bytes, none of them NUL.
    pub password: Zeroizing<Vec<u8>>,
}

/// Why there are no credentials to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Not what the RFCs describe.
    Malformed(&'static str),
    /// Neither `Basic` nor `Bearer`.
    Scheme,
}

/// The credentials among `headers`, if there are any.
///
/// # Errors
/// There is more than one header, or one that says nothing.
pub fn read(headers: &HeaderMap) -> Result<Option<Credentials<'_>>, Unusable> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Unusable::Malformed("more than one Authorization header"));
    }
    let value = value.to_str().map_err(|_| Unusable::Malformed("an Authorization header that is not ASCII"))?;
    let Some((scheme, rest)) = value.split_once(' ') else {
        return Err(Unusable::Malformed("an Authorization header without credentials"));
    };
    // RFC 9110, section 11.1: the name of a scheme has no case.
    if scheme.eq_ignore_ascii_case("bearer") {
        token(rest).map(Credentials::Bearer).map(Some)
    } else if scheme.eq_ignore_ascii_case("basic") {
        login(rest).map(Credentials::Basic).map(Some)
    } else {
        Err(Unusable::Scheme)
    }
}

fn token(text: &str) -> Result<&str, Unusable> {
    if text.len() > LONGEST_TOKEN {
        return Err(Unusable::Malformed("a token that is too long"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) {
        return Err(Unusable::Malformed("a token with characters that none may have"));
    }
    Ok(text)
}

fn login(text: &str) -> Result<Login, Unusable> {
    if text.len() > LONGEST_BASIC {
        return Err(Unusable::Malformed("Basic credentials that are too long"));
    }
    let decoded = STANDARD.decode(text).map_err(|_| Unusable::Malformed("Basic credentials that are not base64"))?;
    let decoded = Zeroizing::new(decoded);
    let Some(colon) = decoded.iter().position(|byte| *byte == b':') else {
        return Err(Unusable::Malformed("Basic credentials without a colon"));
    };
    let (name, password) = (&decoded[..colon], &decoded[colon + 1..]);
    let name = std::str::from_utf8(name).map_err(|_| Unusable::Malformed("a user name that is not UTF-8"))?;
    if name.chars().any(char::is_control) {
        return Err(Unusable::Malformed("a user name with control characters"));
    }
    if password.is_empty() {
        return Err(Unusable::Malformed("an empty password"));
    }
    if password.len() > LONGEST_PASSWORD {
        return Err(Unusable::Malformed("a password of more than 72 bytes, of which bcrypt would ignore the rest"));
    }
    // Implementations in C end there, so a hash may have been made of what stands before it only.
    if password.contains(&0) {
        return Err(Unusable::Malformed("a password with a NUL byte"));
    }
    Ok(Login { name: name.to_owned(), password: Zeroizing::new(password.to_vec()) })
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::{Credentials, Unusable, read};

    /// `user/password`, `Bearer token`, or what is wrong.
    fn said(values: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            match HeaderValue::from_bytes(value) {
                Ok(value) => headers.append(AUTHORIZATION, value),
                Err(_) => return "no header can say that".to_owned(),
            };
        }
        match read(&headers) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(Credentials::Basic(login))) => {
                format!("{}/{}", login.name, String::from_utf8_lossy(&login.password))
            }
            Ok(Some(Credentials::Bearer(token))) => format!("Bearer {token}"),
            Err(Unusable::Malformed(what)) => what.to_owned(),
            Err(Unusable::Scheme) => "scheme".to_owned(),
        }
    }

    fn basic(text: &[u8]) -> String {
        said(&[format!("Basic {}", STANDARD.encode(text)).as_bytes()])
    }

    #[test]
    fn schemes_have_no_case() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEARer"] {
            assert_eq!(said(&[format!("{scheme} a.b.c").as_bytes()]), "Bearer a.b.c");
        }
        assert_eq!(said(&[b"basic YW5uOnNlc2FtZQ=="]), "ann/sesame");
        assert_eq!(said(&[]), "nothing");
    }

    #[test]
    fn a_header_says_one_thing_or_nothing() {
        let long = [b"Bearer ".as_slice(), &[b'a'; 8193]].concat();
        let long_basic = [b"Basic ".as_slice(), &[b'a'; 1028]].concat();
        for (values, wanted) in [
            (&[b"Bearer a.b.c".as_slice(), b"Bearer a.b.c"][..], "more than one Authorization header"),
            (&[b"Basic YTpi", b"Bearer a.b.c"], "more than one Authorization header"),
            (&[b"Bearer a.b.c\n"], "no header can say that"),
            (&[b"Bearer a.b.c "], "a token with characters that none may have"),
            (&[b"Bearer a.b.c\t"], "a token with characters that none may have"),
            (&[b"Bearer  a.b.c"], "a token with characters that none may have"),
            (&[b"Bearer a.b.c, Basic YTpi"], "a token with characters that none may have"),
            (&[b"Bearer "], "a token with characters that none may have"),
            (&[b"Bearer"], "an Authorization header without credentials"),
            (&[b"Bearer\ta.b.c"], "an Authorization header without credentials"),
            (&[b""], "an Authorization header without credentials"),
            (&[b" Bearer a.b.c"], "scheme"),
            (&[b"Digest username=ann"], "scheme"),
            (&[b"Bearer: a.b.c"], "scheme"),
            (&[b"Bearer \xff"], "an Authorization header that is not ASCII"),
            (&[&long], "a token that is too long"),
            (&[&long_basic], "Basic credentials that are too long"),
            (&[b"Basic YW5uOnNlc2FtZQ"], "Basic credentials that are not base64"),
            (&[b"Basic YW5uOnNlc2FtZR=="], "Basic credentials that are not base64"),
            (&[b"Basic YW5uOnNlc2FtZQ== "], "Basic credentials that are not base64"),
            (&[b"Basic YW5uOnNlc2FtZQ==YTpi"], "Basic credentials that are not base64"),
        ] {
            assert_eq!(said(values), wanted, "{values:?}");
        }
    }

    #[test]
    fn passwords_are_what_bcrypt_can_tell_apart() {
        assert_eq!(basic(b"ann:a:b:c"), "ann/a:b:c");
        assert_eq!(basic(b":sesame"), "/sesame");
        assert_eq!(basic(&[b"ann:".as_slice(), &[b'x'; 72]].concat()), format!("ann/{}", "x".repeat(72)));
        for (text, wanted) in [
            (
                [b"ann:".as_slice(), &[b'x'; 73]].concat(),
                "a password of more than 72 bytes, of which bcrypt would ignore the rest",
            ),
            (b"ann:a\0b".to_vec(), "a password with a NUL byte"),
            (b"ann:".to_vec(), "an empty password"),
            (b"ann".to_vec(), "Basic credentials without a colon"),
            (b"a\nnn:b".to_vec(), "a user name with control characters"),
            (b"\xff:b".to_vec(), "a user name that is not UTF-8"),
        ] {
            assert_eq!(basic(&text), wanted);
        }
    }
}
