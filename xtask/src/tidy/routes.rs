//! What the servers answer and the reference agree: a route in the source has a row in words, and the other way round.

use super::{Finding, Source, rust};

const REFERENCE: &str = "docs/reference/http.md";
const METHODS: [&str; 6] = ["delete", "get", "options", "patch", "post", "put"];

/// A method at a path.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    method: String,
    path: String,
}

impl Route {
    /// Whether this, with names in braces for what may stand there, is that.
    fn covers(&self, other: &Self) -> bool {
        let mut others = other.path.split('/');
        let fits = self.path.split('/').all(|pattern| {
            if pattern.starts_with("{*") {
                return others.by_ref().count() > 0;
            }
            others
                .next()
                .is_some_and(|name| pattern == name || pattern.starts_with('{'))
        });
        self.method == other.method && fits && others.next().is_none()
    }
}

/// Every route in the source is in the reference, and the other way round.
pub(super) fn described(sources: &[Source]) -> Vec<Finding> {
    let in_source: Vec<Route> = sources
        .iter()
        .filter(|source| source.is_rust() && source.path.starts_with("crates/"))
        .flat_map(|source| routes(source, sources))
        .collect();
    let reference = sources.iter().find(|source| source.path == REFERENCE);
    let in_words = reference.map_or_else(Vec::new, |reference| in_words(&reference.text));
    let say = |route: &Route, words: &str| Finding {
        path: REFERENCE.to_owned(),
        line: 0,
        words: format!("`{} {}` {words}", route.method.to_uppercase(), route.path),
    };
    let silent = in_source
        .iter()
        .filter(|route| !in_words.iter().any(|other| route.covers(other)));
    let dead = in_words
        .iter()
        .filter(|route| !in_source.iter().any(|other| other.covers(route)));
    let silent = silent.map(|route| say(route, "is answered and not described"));
    silent
        .chain(dead.map(|route| say(route, "is described and not answered")))
        .collect()
}

/// What `.route(path, methods)` says outside tests; the path may be a constant.
fn routes(source: &Source, sources: &[Source]) -> Vec<Route> {
    const CALL: &str = ".route(";
    let code = rust::code_only(&source.text);
    let tests = rust::test_code(&source.path, &code);
    let calls = code.match_indices(CALL).map(|(at, _)| at);
    let calls = calls.filter(|at| !tests.iter().any(|test| test.contains(at)));
    let mut routes = Vec::new();
    for at in calls {
        let end = at + closing(&code[at..]);
        let arguments = at + CALL.len()..end;
        let Some(comma) = code[arguments.clone()].find(',') else {
            continue;
        };
        let path = source.text[arguments.start..arguments.start + comma].trim();
        let Some(path) = literal(path).or_else(|| constant(path, sources)) else {
            continue;
        };
        let methods = &code[arguments.start + comma..end];
        let named = METHODS.iter().filter(|method| {
            let call = format!("{method}(");
            methods
                .match_indices(&call)
                .any(|(at, _)| !rust::is_word(methods.as_bytes()[at - 1]))
        });
        routes.extend(named.map(|method| Route {
            method: (*method).to_owned(),
            path: path.to_owned(),
        }));
    }
    routes
}

/// Where the bracket closes that opens first.
fn closing(code: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => return at,
            b')' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

fn literal(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn constant<'a>(name: &str, sources: &'a [Source]) -> Option<&'a str> {
    let opening = format!("const {name}: &str = \"");
    let rest = sources
        .iter()
        .find_map(|source| source.text.split_once(&opening));
    rest?.1.split('"').next()
}

/// The routes in the reference: `GET /a`, and in a row `/b` behind it.
fn in_words(text: &str) -> Vec<Route> {
    let mut routes = Vec::new();
    for line in text.lines() {
        let cell = line
            .strip_prefix("| ")
            .and_then(|row| row.split(" |").next());
        let mut method = None;
        for code in cell.unwrap_or(line).split('`').skip(1).step_by(2) {
            let (first, rest) = code.split_once(' ').unwrap_or(("", code));
            let named = METHODS.iter().find(|name| name.to_uppercase() == first);
            method = named.copied().or(method.filter(|_| cell.is_some()));
            if let Some(method) = method.filter(|_| rest.starts_with('/')) {
                routes.push(Route {
                    method: method.to_owned(),
                    path: rest.to_owned(),
                });
            }
        }
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    fn said(code: &str, reference: &str) -> Vec<String> {
        let tree = [
            source("crates/throng/src/api.rs", code),
            source(
                "crates/throng/src/names.rs",
                "const FEED: &str = \"/feed\";",
            ),
            source(REFERENCE, reference),
        ];
        described(&tree)
            .into_iter()
            .map(|finding| finding.words)
            .collect()
    }

    #[test]
    fn a_route_on_one_side_only_is_found() {
        let code = "r.route(\"/a\", get(a).post(b))\n.route(FEED, post(f)).route(\"/x\", any(u))";
        let found = said(code, "| `GET /a` | a |\n| `PUT /a`, `/c` | c |");
        assert_eq!(
            found,
            [
                "`POST /a` is answered and not described",
                "`POST /feed` is answered and not described",
                "`PUT /a` is described and not answered",
                "`PUT /c` is described and not answered",
            ]
        );
    }

    #[test]
    fn names_in_braces_stand_for_what_the_reference_says() {
        let code = "r.route(\"/s/{slug}/{file}\", get(f)).route(\"/s/{slug}/hls/{*name}\", get(h))";
        let rows = "| `GET /s/{slug}/a.json`, `/s/{slug}/b` `{\"x\"}` | `POST /z` |\n| `GET /s/{slug}/hls/{r}/{n}.m4s` | s |";
        assert_eq!(said(code, rows), [""; 0]);
        assert_eq!(said(code, "").len(), 2);
    }

    #[test]
    fn routes_of_tests_are_nobodys() {
        let code = "#[cfg(test)]\nmod tests { fn a() { r.route(\"/a\", get(a)) } }";
        assert_eq!(said(code, ""), [""; 0]);
    }
}
