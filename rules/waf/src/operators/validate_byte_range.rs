//! `@validateByteRange`: matches if a byte of the value is outside the ranges (`9,10,13,32-126`).

/// The bytes that are allowed.
#[derive(Debug)]
pub(super) struct ByteRange {
    allowed: [bool; 256],
}

impl ByteRange {
    /// Reads the ranges; at least one.
    pub(super) fn compile(argument: &str) -> Result<Self, String> {
        let mut allowed = [false; 256];
        for item in argument.split(',').map(str::trim) {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let bounds = (first.trim().parse::<u8>(), last.trim().parse::<u8>());
            let (Ok(first), Ok(last)) = bounds else {
                return Err(format!("{item:?} is neither a byte (0-255) nor a range of bytes"));
            };
            if first > last {
                return Err(format!("{item:?} ends before it begins"));
            }
            let range = usize::from(first)..=usize::from(last);
            allowed.get_mut(range).unwrap_or_default().fill(true);
        }
        Ok(Self { allowed })
    }

    /// Whether a byte is outside.
    pub(super) fn is_left_by(&self, value: &[u8]) -> bool {
        value.iter().any(|&byte| self.allowed.get(usize::from(byte)) != Some(&true))
    }
}
