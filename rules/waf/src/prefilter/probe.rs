//! What one scan of some bytes costs: the floor that benches hold the engine against. Not used to judge anything.

use crate::engine::Engine;

impl Engine {
    /// Scans `text` once for the literals of requests. Gives how many clauses it meets; none without the fast path.
    #[doc(hidden)]
    pub fn scan_probe(&self, text: &[u8]) -> Option<u32> {
        let scanner = self.program.as_ref()?.scanners.first()?;
        let mut hits = vec![0; scanner.words()];
        scanner.scan(text, &mut hits);
        Some(hits.iter().map(|word| word.count_ones()).sum())
    }
}
