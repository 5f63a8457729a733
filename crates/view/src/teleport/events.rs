//! The events that occur in recordings, by their number among all that a record can be.

use super::table::Kind::{Bool, Bytes, Int, Map, Object, Objects, Text, Texts, Time, Uint};
use super::table::{
    APP, ATTRIBUTES, AWS, CLUSTER, COMMAND, CONNECTION, DATABASE, HEADER, KERNEL, POD, SERVER,
    SESSION, STATUS, Spec, TRANSFERRED, USER, a, f, flat,
};

/// Number of the event that holds bytes of the terminal.
pub(super) const PRINT: u32 = 7;

/// The fields of the event with this number, besides number 1, which every event has. An event
/// that is not here is kept as it is.
pub(super) fn event(number: u32) -> Option<&'static [Spec]> {
    [SESSIONS, CHANNELS, APPLICATIONS]
        .iter()
        .flat_map(|table| table.iter())
        .find(|(numbers, _)| numbers.contains(&number))
        .map(|(_, specs)| *specs)
}

/// What happens to a session as a whole, and what the kernel saw.
const SESSIONS: &[(&[u32], &[Spec])] = &[
    (
        &[5],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
            f(6, "size", Text),
            flat(7, CLUSTER),
            flat(8, POD),
            f(9, "initial_command", Texts),
            f(10, "session_recording", Text),
            f(12, "invited", Texts),
            f(13, "reason", Text),
        ],
    ),
    (
        &[6],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
            flat(6, CLUSTER),
        ],
    ),
    (
        &[8],
        &[
            flat(2, USER),
            flat(3, SERVER),
            flat(4, CONNECTION),
            a(5, "reason", Text),
            a(6, "max", Int),
        ],
    ),
    (
        &[9],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, CONNECTION),
            flat(5, SERVER),
            f(6, "size", Text),
            flat(7, CLUSTER),
            flat(8, POD),
        ],
    ),
    (
        &[10],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, CONNECTION),
            flat(5, SERVER),
            a(6, "enhanced_recording", Bool),
            a(7, "interactive", Bool),
            a(8, "participants", Texts),
            f(9, "session_start", Time),
            f(10, "session_stop", Time),
            flat(11, CLUSTER),
            flat(12, POD),
            f(13, "initial_command", Texts),
            f(14, "session_recording", Text),
        ],
    ),
    (
        &[11],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, KERNEL),
            a(6, "ppid", Uint),
            a(7, "path", Text),
            a(8, "argv", Texts),
            a(9, "return_code", Int),
        ],
    ),
    (
        &[12],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, KERNEL),
            a(6, "path", Text),
            a(7, "flags", Int),
            a(8, "return_code", Int),
        ],
    ),
    (
        &[13],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, KERNEL),
            a(6, "src_addr", Text),
            a(7, "dst_addr", Text),
            a(8, "dst_port", Int),
            a(9, "version", Int),
            a(10, "operation", Int),
            a(11, "action", Int),
        ],
    ),
    (
        &[14],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
            a(6, "tx", Uint),
            a(7, "rx", Uint),
        ],
    ),
    (
        &[15],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
        ],
    ),
    (&[67], &[flat(2, SERVER), flat(3, CONNECTION)]),
    (&[43], &[flat(2, SESSION), a(5, "url", Text)]),
];

/// Channels of a connection, what runs in them, and who was refused.
const CHANNELS: &[(&[u32], &[Spec])] = &[
    (
        &[16],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, STATUS),
            a(5, "addr", Text),
            flat(6, CLUSTER),
            flat(7, POD),
        ],
    ),
    (
        &[17],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, STATUS),
            flat(5, SERVER),
        ],
    ),
    (
        &[18],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, SESSION),
            flat(5, SERVER),
            flat(6, COMMAND),
            a(7, "path", Text),
            a(8, "action", Text),
        ],
    ),
    (
        &[19],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, SESSION),
            flat(5, SERVER),
            flat(6, COMMAND),
            flat(7, CLUSTER),
            flat(8, POD),
        ],
    ),
    (
        &[20],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            a(4, "name", Text),
            a(5, "exitError", Text),
            flat(6, SERVER),
        ],
    ),
    (
        &[21],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, SERVER),
            a(5, "reason", Text),
        ],
    ),
    (
        &[22],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, STATUS),
            flat(5, SERVER),
            flat(6, APP),
        ],
    ),
    (
        &[91],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, SESSION),
            flat(5, SERVER),
            a(6, "working_directory", Text),
            a(7, "path", Text),
            f(8, "target_path", Text),
            f(9, "flags", Uint),
            f(10, "attributes", Object(ATTRIBUTES)),
            a(11, "action", Int),
            f(12, "error", Text),
        ],
    ),
    (
        &[191],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, SESSION),
            flat(5, SERVER),
            f(6, "file_transfer_stats", Objects(TRANSFERRED)),
        ],
    ),
];

/// Kubernetes, web applications, databases and desktops.
const APPLICATIONS: &[(&[u32], &[Spec])] = &[
    (
        &[36],
        &[
            flat(2, USER),
            flat(3, CONNECTION),
            flat(4, SERVER),
            a(5, "request_path", Text),
            a(6, "verb", Text),
            f(7, "resource_api_group", Text),
            f(8, "resource_namespace", Text),
            f(9, "resource_kind", Text),
            f(10, "resource_name", Text),
            a(11, "response_code", Int),
            flat(12, CLUSTER),
            flat(13, SESSION),
        ],
    ),
    (
        &[37],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
            a(7, "public_addr", Text),
            flat(8, APP),
            f(9, "error", Text),
            f(10, "message", Text),
        ],
    ),
    (
        &[38],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
            a(6, "session_chunk_id", Text),
            flat(7, APP),
        ],
    ),
    (
        &[39],
        &[
            a(2, "status_code", Uint),
            a(3, "path", Text),
            a(4, "raw_query", Text),
            a(5, "method", Text),
            flat(6, APP),
            flat(7, AWS),
        ],
    ),
    (
        &[40],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
            flat(6, STATUS),
            flat(7, DATABASE),
            f(8, "postgres_pid", Uint),
            flat(9, &[f(1, "user_agent", Text)]),
        ],
    ),
    (
        &[41],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, DATABASE),
            f(5, "session_start", Time),
            f(6, "session_stop", Time),
            flat(7, CONNECTION),
            f(8, "participants", Texts),
        ],
    ),
    (
        &[42],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, DATABASE),
            a(5, "db_query", Text),
            f(6, "db_query_parameters", Texts),
            flat(7, STATUS),
        ],
    ),
    (
        &[60],
        &[
            flat(2, USER),
            flat(3, SESSION),
            a(4, "windows_desktop_service", Text),
            a(5, "desktop_addr", Text),
            a(6, "windows_domain", Text),
            a(7, "windows_user", Text),
            f(8, "desktop_labels", Map),
            f(9, "session_start", Time),
            f(10, "session_stop", Time),
            a(11, "desktop_name", Text),
            a(12, "recorded", Bool),
            a(13, "participants", Texts),
            flat(14, CONNECTION),
        ],
    ),
    (
        &[69],
        &[
            f(2, "message", Bytes),
            a(3, "ms", Int),
            f(4, "tdpb_message", Bytes),
        ],
    ),
    (
        &[70, 71],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, CONNECTION),
            a(5, "desktop_addr", Text),
            a(6, "length", Int),
            a(7, "desktop_name", Text),
        ],
    ),
    (
        &[93],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, SERVER),
            flat(5, CONNECTION),
            flat(6, APP),
        ],
    ),
    (
        &[159],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, DATABASE),
            flat(5, STATUS),
            f(6, "affected_records", Uint),
        ],
    ),
    (
        &[267],
        &[
            flat(2, USER),
            flat(3, SESSION),
            flat(4, APP),
            a(5, "request_id", Text),
            a(6, "method", Text),
            a(7, "url", Text),
            a(8, "http_version", Text),
            f(9, "headers", Objects(HEADER)),
            f(10, "raw_query", Text),
            f(11, "format", Text),
            f(12, "provider", Text),
        ],
    ),
    (
        &[268, 270],
        &[
            flat(2, SESSION),
            a(3, "request_id", Text),
            a(4, "chunk_index", Int),
            a(5, "is_last", Bool),
            f(6, "data", Bytes),
        ],
    ),
    (
        &[269],
        &[
            flat(2, SESSION),
            flat(3, APP),
            a(4, "request_id", Text),
            a(5, "status_code", Uint),
            a(6, "status_text", Text),
            a(7, "http_version", Text),
            f(8, "headers", Objects(HEADER)),
            a(9, "send_time_ms", Int),
            a(10, "wait_time_ms", Int),
            a(11, "receive_time_ms", Int),
        ],
    ),
];
