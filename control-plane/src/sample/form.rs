//! `curl -F`: a multipart body.

use super::SampleError;
use super::curl::Files;

/// The boundary; fixed, so that the same command is the same request.
const BOUNDARY: &str = "------------------------palisade00000000";

/// The parts of a form.
#[derive(Debug, Default)]
pub(super) struct Form {
    body: Vec<u8>,
}

impl Form {
    /// Adds `name=value`, `name=@file` or `name=<file`, with `;type=` and `;filename=`. `plain`: the value as it is
    /// (`--form-string`).
    pub(super) fn add(&mut self, field: &[u8], plain: bool, files: &mut Files) -> Result<(), SampleError> {
        let Some(equals) = field.iter().position(|byte| *byte == b'=') else {
            return Err(SampleError::new("-F is written name=value"));
        };
        let (name, value) =
            (field.get(..equals).unwrap_or_default(), field.get(equals + 1..).unwrap_or_default());
        let (mut content, mut filename, mut media_type) = (value.to_vec(), None, None);
        if !plain {
            let mut pieces = value.split(|byte| *byte == b';');
            let first = pieces.next().unwrap_or_default();
            content = first.to_vec();
            for piece in pieces {
                match piece.trim_ascii() {
                    piece if piece.starts_with(b"type=") => media_type = piece.get(5..).map(<[u8]>::to_vec),
                    piece if piece.starts_with(b"filename=") => {
                        filename = piece.get(9..).map(|name| name.trim_ascii().to_vec());
                    }
                    other => content = [&content, &b";"[..], other].concat(),
                }
            }
            if let Some(path) = first.strip_prefix(b"@") {
                content = files.read(path)?;
                let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                filename.get_or_insert_with(|| last.to_vec());
                media_type.get_or_insert_with(|| b"application/octet-stream".to_vec());
            } else if let Some(path) = first.strip_prefix(b"<") {
                content = files.read(path)?;
            }
        }
        let quoted = |text: &[u8]| String::from_utf8_lossy(text).replace('"', "%22").into_bytes();
        let mut head = [b"--", BOUNDARY.as_bytes(), b"\r\nContent-Disposition: form-data; name=\""].concat();
        head.extend(quoted(name));
        head.push(b'"');
        if let Some(filename) = filename {
            head.extend_from_slice(b"; filename=\"");
            head.extend(quoted(&filename));
            head.push(b'"');
        }
        if let Some(media_type) = media_type {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend(media_type);
        }
        head.extend_from_slice(b"\r\n\r\n");
        self.body.extend(head);
        self.body.extend(content);
        self.body.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The body and its media type.
    pub(super) fn finish(mut self) -> (Vec<u8>, String) {
        self.body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        (self.body, format!("multipart/form-data; boundary={BOUNDARY}"))
    }
}
