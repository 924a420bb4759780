//! Errors as people read them.

use std::error::Error;

/// An error and its causes on one line. A cause that its effect already tells is left out, and so
/// is what stands behind a cause's first line: the verifier's log is for the debug level.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = first_line(error);
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = first_line(error);
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

fn first_line(error: &dyn Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn causes_follow_once() {
        let cause = Link { text: "no route\nand a long story", source: None };
        let middle = Link { text: "no route", source: Some(Box::new(cause)) };
        let error = Link { text: "can not send", source: Some(Box::new(middle)) };
        assert_eq!(chain(&error), "can not send: no route");
    }
}
