//! `hansard status`: how the service is, and who the asker is to it.

use std::io::{self, Write as _};

use hansard_view::escape_for_humans;
use serde_json::{Value as Json, json};

use crate::cli::StatusArgs;
use crate::failure::Failure;
use crate::service::{Asked, Service};

/// Says it.
pub(crate) fn run(args: &StatusArgs) -> Result<u8, Failure> {
    let login = crate::login::status();
    let service = Service::new(&args.service)?;
    let mut status = match (service.document(&Asked::get(&["status"])), &login) {
        (Ok(status), _) => status,
        // Who is signed in elsewhere need not have a service here.
        (Err(_), Some(_)) if args.service.socket.is_none() && !service.is_there() => json!({}),
        (Err(failure), _) => return Err(failure),
    };
    if let (Some(fields), Some(login)) = (status.as_object_mut(), login) {
        fields.insert("login".to_owned(), login);
    }
    if args.json {
        writeln!(io::stdout(), "{status}")?;
    } else {
        let mut lines = String::new();
        flat("", &status, &mut lines);
        write!(io::stdout(), "{lines}")?;
    }
    Ok(0)
}

/// One line for each fact; those of an object under its name.
fn flat(under: &str, value: &Json, lines: &mut String) {
    let Some(object) = value.as_object() else {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Array(items) => {
                let items: Vec<String> = items
                    .iter()
                    .map(|item| {
                        item.as_str()
                            .map_or_else(|| item.to_string(), str::to_owned)
                    })
                    .collect();
                items.join(", ")
            }
            other => other.to_string(),
        };
        let (name, text) = (escape_for_humans(under), escape_for_humans(&text));
        return lines.push_str(&format!("{name:24} {text}\n"));
    };
    for (name, value) in object {
        let name = if under.is_empty() {
            name.clone()
        } else {
            format!("{under}.{name}")
        };
        flat(&name, value, lines);
    }
}
