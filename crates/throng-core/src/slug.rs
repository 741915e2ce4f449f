//! The slug of a space: its place in the URL, made once from the title and a little chance, then never changed.

use std::fmt;

use thiserror::Error;

/// One to 64 characters of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(String);

/// The text cannot be a slug, so that no space has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not the address of a space: it has 1 to {LENGTH_MAX} of the characters a-z, 0-9 and -")]
pub struct NotASlug;

/// Longest slug that is accepted.
pub const LENGTH_MAX: usize = 64;
/// The words of the title end here: a link that one can still read aloud.
const WORDS_LENGTH_MAX: usize = 40;
/// Characters of chance, 30 bits: the link of an unlisted space is not guessed by trying its title, and equal titles
/// do not meet (the store still refuses a second space of one slug).
const SUFFIX_LENGTH: usize = 6;
/// Crockford's base 32, in small letters: nothing that is misread for something else.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl Slug {
    /// A slug from the words of a title and random bits, of which the lowest 30 count: `fireside-chat-7hk2mq`. Accents
    /// of Latin letters are dropped; a title in another script gives `space-7hk2mq`.
    pub fn from_title(title: &str, random: u64) -> Self {
        let mut slug = String::new();
        for word in words(title) {
            if slug.len() + word.len() > WORDS_LENGTH_MAX {
                break;
            }
            slug.push_str(&word);
            slug.push('-');
        }
        if slug.is_empty() {
            slug.push_str("space-");
        }
        slug.extend(
            (0..SUFFIX_LENGTH)
                .map(|place| char::from(ALPHABET[(random >> (5 * place) & 31) as usize])),
        );
        Self(slug)
    }

    /// Reads a slug from a path.
    pub fn parse(text: &str) -> Result<Self, NotASlug> {
        let fits = (1..=LENGTH_MAX).contains(&text.len());
        let plain = text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits && plain {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASlug)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The words of a title in plain small letters and digits; a word that would fill the slug alone is cut.
fn words(title: &str) -> impl Iterator<Item = String> {
    title
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .map(|word| {
            word.chars()
                .flat_map(char::to_lowercase)
                .filter_map(plain)
                .take(WORDS_LENGTH_MAX)
                .collect()
        })
        .filter(|word: &String| !word.is_empty())
}

/// The letter without its accent, if it is a Latin letter or a digit.
fn plain(letter: char) -> Option<char> {
    Some(match letter {
        'a'..='z' | '0'..='9' => letter,
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' | 'æ' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' | 'đ' | 'ð' => 'd',
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => 'e',
        'ğ' | 'ģ' => 'g',
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => 'i',
        'ł' | 'ľ' | 'ļ' => 'l',
        'ñ' | 'ń' | 'ň' | 'ņ' => 'n',
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' | 'œ' => 'o',
        'ř' => 'r',
        'ś' | 'š' | 'ş' | 'ș' | 'ß' => 's',
        'ť' | 'ţ' | 'ț' => 't',
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' | 'ų' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slug_says_what_the_title_says() {
        let slug = |title| Slug::from_title(title, 0x1234_5678).to_string();
        assert_eq!(
            slug("Fireside Chat: Q&A, part 2"),
            "fireside-chat-q-a-part-2-rkn839"
        );
        assert_eq!(
            slug("Ein Gespräch über Köln"),
            "ein-gesprach-uber-koln-rkn839"
        );
        assert_eq!(slug("Don't panic"), "dont-panic-rkn839");
        assert_eq!(slug("対談 2026"), "2026-rkn839");
        assert_eq!(slug("対談"), "space-rkn839");
        assert_eq!(
            slug("A title whose words go on for longer than anyone would read"),
            "a-title-whose-words-go-on-for-longer-rkn839"
        );
    }

    #[test]
    fn what_is_no_slug_is_refused() {
        for text in [
            "",
            "A",
            "a b",
            "a/b",
            "..",
            "ü",
            "a%20b",
            &"a".repeat(LENGTH_MAX + 1),
        ] {
            assert_eq!(Slug::parse(text), Err(NotASlug), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_made_slug_is_always_read_back_and_chance_alone_changes_it(title in "\\PC{0,80}", random: u64) {
            let slug = Slug::from_title(&title, random);
            prop_assert_eq!(Slug::parse(slug.as_str()), Ok(slug.clone()));
            prop_assert!(slug.as_str().len() <= WORDS_LENGTH_MAX + 1 + SUFFIX_LENGTH);
            prop_assert_ne!(slug, Slug::from_title(&title, random ^ 1));
        }
    }
}
