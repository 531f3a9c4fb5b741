//! How values show themselves: one line for a prompt, a table for a notebook, both from the same list of fields.

/// A value with something to show.
pub(crate) trait Show {
    /// The class.
    const NAME: &'static str;

    /// What matters of it, in order.
    fn fields(&self) -> Vec<(&'static str, String)>;

    /// One line.
    fn line(&self) -> String {
        let fields: Vec<_> = self.fields().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}({})", Self::NAME, fields.join(", "))
    }

    /// A table with a row for each field.
    fn table(&self) -> String {
        let rows = self.fields().into_iter();
        let rows: String =
            rows.map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escaped(&value))).collect();
        format!("<table><caption>{}</caption>{rows}</table>", Self::NAME)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
