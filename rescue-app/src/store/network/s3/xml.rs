//! What an object store answers in XML: flat lists of named texts, of which only a few count.

/// The text of the first element of that name, its entities decoded.
pub(super) fn text(xml: &str, name: &str) -> Option<String> {
    elements(xml, name).next().map(decoded)
}

/// What is inside each element of that name. Those meant here hold none of their own name and have no
/// attributes.
pub(super) fn elements<'x>(xml: &'x str, name: &str) -> impl Iterator<Item = &'x str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let (_, from) = rest.split_once(&open)?;
        let (inside, after) = from.split_once(&close)?;
        rest = after;
        Some(inside)
    })
}

fn decoded(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('&') {
        decoded.push_str(before);
        let known = from.split_once(';').and_then(|(name, after)| Some((entity(name)?, after)));
        rest = match known {
            Some((character, after)) => {
                decoded.push(character);
                after
            }
            None => {
                decoded.push('&');
                from
            }
        };
    }
    decoded.push_str(rest);
    decoded
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_texts_are_found() {
        let xml = "<?xml version=\"1.0\"?><R xmlns=\"x\"><C><K>a/b&amp;c</K><S>3</S></C><C><K>d&#x41;</K></C><T>true</T></R>";
        let keys: Vec<_> = elements(xml, "C").filter_map(|it| text(it, "K")).collect();
        assert_eq!(keys, ["a/b&c", "dA"]);
        assert_eq!(text(xml, "T").as_deref(), Some("true"));
        assert_eq!(text(xml, "N"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_go_on_for_ever(xml in "[<>/K&#x;0-9]{0,60}") {
            prop_assert!(elements(&xml, "K").map(decoded).count() <= xml.len());
        }
    }
}
