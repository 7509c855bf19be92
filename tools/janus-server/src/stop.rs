//! Answers that end before a given text.

/// Looks for stop texts in an answer that comes piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFinder {
    stops: Vec<String>,
    /// Text that may be the beginning of a stop text.
    held: String,
}

impl StopFinder {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        let held = String::new();
        Self { stops, held }
    }

    /// Takes the next piece; gives what can be told of it, and whether the answer ends there.
    pub(crate) fn push(&mut self, piece: &str) -> (String, bool) {
        self.held.push_str(piece);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop));
        if let Some(end) = found.min() {
            let mut text = std::mem::take(&mut self.held);
            text.truncate(end);
            return (text, true);
        }
        let kept = self.stops.iter().map(|stop| overlap(&self.held, stop));
        let told = self.held.len() - kept.max().unwrap_or(0);
        let rest = self.held.split_off(told);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, once no more comes.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of `text` with which `stop` begins.
fn overlap(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(i, _)| i).filter(|&i| i > 0);
    let longest = lengths.filter(|&length| text.ends_with(&stop[..length]));
    longest.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_texts_are_found_across_pieces() {
        for (stops, pieces, expected, stopped) in [
            (vec!["ab"], vec!["xa", "bc"], "x", true),
            (vec!["ab"], vec!["xa", "ac"], "xaac", false),
            (vec!["aab"], vec!["a", "a", "a", "b"], "a", true),
            (vec!["cd", "b"], vec!["abcd"], "a", true),
            (vec!["é!"], vec!["caf", "é", "?"], "café?", false),
            (vec!["end"], vec!["the e", "n"], "the en", false),
            (vec![], vec!["a", "b"], "ab", false),
        ] {
            let stops: Vec<_> = stops.into_iter().map(str::to_owned).collect();
            let mut finder = StopFinder::new(stops.clone());
            let mut told = String::new();
            let mut ended = false;
            for piece in &pieces {
                let (text, stop) = finder.push(piece);
                told.push_str(&text);
                if stop {
                    ended = true;
                    break;
                }
            }
            told.push_str(&finder.finish());
            assert_eq!(
                (told.as_str(), ended),
                (expected, stopped),
                "{stops:?} {pieces:?}"
            );
        }
    }
}
