//! Cutting a script into its statements. Sent as a whole, a server would carry on with each by itself once its
//! transaction was lost; as steps of a batch each hangs on the one before.

/// The statements of a script without their semicolons; comments stay where they are.
pub(super) fn statements(script: &str) -> Vec<&str> {
    let bytes = script.as_bytes();
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'-' if bytes[at..].starts_with(b"--") => at = behind(script, at, "\n"),
            b'/' if bytes[at..].starts_with(b"/*") => at = behind(script, at + 2, "*/"),
            quote @ (b'\'' | b'"' | b'`') => {
                at = behind(script, at + 1, char::from(quote).encode_utf8(&mut [0]))
            }
            b'[' => at = behind(script, at, "]"),
            b';' if is_whole(&script[start..at]) => {
                found.push(&script[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    found.push(&script[start..]);
    found.retain(|statement| words(statement).next().is_some());
    found
}

/// The place behind the next occurrence, or the end.
fn behind(script: &str, from: usize, mark: &str) -> usize {
    // Every place that the walk stops at is in front of or behind an ASCII character.
    script[from..].find(mark).map_or(script.len(), |place| from + place + mark.len())
}

/// A trigger has semicolons of its own, up to its END. (One whose last statement ends in a CASE, with no semicolon
/// behind, is no SQL.)
fn is_whole(statement: &str) -> bool {
    let mut head = words(statement);
    let creates = head.next().is_some_and(|word| word.eq_ignore_ascii_case("CREATE"));
    let trigger = creates && head.take(2).any(|word| word.eq_ignore_ascii_case("TRIGGER"));
    !trigger || {
        let body = statement.trim_end();
        let last = body.rsplit(|c: char| c.is_whitespace() || c == ';').next().unwrap_or_default();
        let before = body[..body.len() - last.len()].trim_end();
        last.eq_ignore_ascii_case("END") && before.ends_with(';')
    }
}

/// The words outside of comments.
fn words(statement: &str) -> impl Iterator<Item = &str> {
    let mut rest = statement;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if rest.starts_with("--") {
                rest = &rest[behind(rest, 0, "\n")..];
            } else if rest.starts_with("/*") {
                rest = &rest[behind(rest, 2, "*/")..];
            } else {
                break;
            }
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        (!word.is_empty()).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_texts_comments_and_triggers_end_nothing() {
        let script =
            "-- it; is\nCREATE TABLE a (x TEXT DEFAULT 'o'';'); /* ; */ INSERT INTO \"a;\" VALUES (';');
            CREATE TRIGGER t AFTER INSERT ON a BEGIN
              UPDATE a SET x = CASE WHEN 1 THEN 'END;' ELSE 2 END; DELETE FROM b;
            END;
            SELECT [;], `;` ;; -- the end;";
        let found = statements(script);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].ends_with("'o''')") || found[0].ends_with("'o'';')"), "{}", found[0]);
        assert!(found[2].trim_start().starts_with("CREATE TRIGGER") && found[2].ends_with("END"));
        assert_eq!(found[3].trim(), "SELECT [;], `;`");
    }

    #[test]
    fn nothing_has_no_statements() {
        for nothing in ["", " ;; ", "-- a comment", "/* one ; */ ;"] {
            assert_eq!(statements(nothing), Vec::<&str>::new(), "{nothing:?}");
        }
    }

    #[test]
    fn the_migrations_have_the_statements_that_they_seem_to_have() {
        for (script, count) in [
            (include_str!("../../../../migrations/0001_safeurl_tables.sql"), "CREATE "),
            (include_str!("../../../../migrations/0003_recovery.sql"), "CREATE TRIGGER"),
        ] {
            let lines = script.lines().filter(|line| line.starts_with(count)).count();
            let found = statements(script);
            let counted = found.iter().filter(|text| text.lines().any(|line| line.starts_with(count)));
            assert_eq!(counted.count(), lines);
        }
    }
}
