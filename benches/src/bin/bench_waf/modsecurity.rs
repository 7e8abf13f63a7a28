//! libmodsecurity behind a safe face: loaded at run time, called through its C API (`msc_*`).
//!
//! The one module of the benches with unsafe code: calling a C library has no safe form. The pointers that it gives are
//! owned by the types here, are used by one thread, and are freed once. Nothing of it is part of the product.
//!
//! The order of calls is that of nginx's connector: after each phase it asks whether to intervene, and an intervention
//! leads straight to the logging phase. Rules that log call back; while measuring, the callback only looks at a flag.

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use anyhow::{Context, Result, bail, ensure};
use libloading::Library;
use palisade_benches::requests::Shape;

/// `ModSecurityIntervention` (modsecurity/intervention.h).
#[repr(C)]
struct Intervention {
    status: c_int,
    pause: c_int,
    url: *mut c_char,
    log: *mut c_char,
    disruptive: c_int,
}

type Pointer = *mut c_void;

/// The functions, with the signatures of modsecurity/{modsecurity,rules_set,transaction}.h.
struct Functions {
    who_am_i: unsafe extern "C" fn(Pointer) -> *const c_char,
    new_transaction: unsafe extern "C" fn(Pointer, Pointer, Pointer) -> Pointer,
    process_connection: unsafe extern "C" fn(Pointer, *const c_char, c_int, *const c_char, c_int) -> c_int,
    process_uri: unsafe extern "C" fn(Pointer, *const c_char, *const c_char, *const c_char) -> c_int,
    add_request_header: unsafe extern "C" fn(Pointer, *const u8, usize, *const u8, usize) -> c_int,
    process_request_headers: unsafe extern "C" fn(Pointer) -> c_int,
    append_request_body: unsafe extern "C" fn(Pointer, *const u8, usize) -> c_int,
    process_request_body: unsafe extern "C" fn(Pointer) -> c_int,
    add_response_header: unsafe extern "C" fn(Pointer, *const u8, usize, *const u8, usize) -> c_int,
    process_response_headers: unsafe extern "C" fn(Pointer, c_int, *const c_char) -> c_int,
    process_response_body: unsafe extern "C" fn(Pointer) -> c_int,
    process_logging: unsafe extern "C" fn(Pointer) -> c_int,
    intervention: unsafe extern "C" fn(Pointer, *mut Intervention) -> c_int,
    transaction_cleanup: unsafe extern "C" fn(Pointer),
    rules_cleanup: unsafe extern "C" fn(Pointer) -> c_int,
    cleanup: unsafe extern "C" fn(Pointer),
}

unsafe extern "C" {
    /// Frees what the C library allocated for the caller.
    fn free(pointer: *mut c_void);
}

thread_local! {
    /// Whether the callback takes notes.
    static NOTING: Cell<bool> = const { Cell::new(false) };
    /// The lines that rules logged.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Called for each rule that logs.
extern "C" fn log(_data: *mut c_void, message: *const c_void) {
    if NOTING.get() && !message.is_null() {
        // SAFETY: a C string that lives as long as the call (the engine was not asked for structures instead).
        let text = unsafe { CStr::from_ptr(message.cast()) }.to_string_lossy().into_owned();
        LINES.with_borrow_mut(|lines| lines.push(text));
    }
}

/// The engine with a rule set.
pub struct ModSecurity {
    call: Functions,
    engine: Pointer,
    rules: Pointer,
    version: String,
    /// Kept loaded as long as its functions can be called.
    _library: Library,
}

/// A request in the form of the C API.
pub struct Prepared {
    method: CString,
    target: CString,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

impl Prepared {
    /// A shape in this form.
    pub fn of(shape: &Shape) -> Result<Self> {
        let headers = shape.headers.iter();
        Ok(Self {
            method: CString::new(shape.method)?,
            target: CString::new(shape.target.as_bytes())?,
            headers: headers
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            body: shape.body.clone(),
        })
    }
}

/// Ends the transaction, whatever happens.
struct Transaction<'a>(&'a Functions, Pointer);

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from msc_new_transaction and is cleaned up here only.
        unsafe { (self.0.transaction_cleanup)(self.1) }
    }
}

impl ModSecurity {
    /// Loads the library and the rules.
    pub fn load(library: &Path, rules_file: &Path) -> Result<Self> {
        // SAFETY: libmodsecurity's initialisers do nothing that concerns this program; it was named by the developer.
        let library =
            unsafe { Library::new(library) }.with_context(|| format!("load {}", library.display()))?;
        // SAFETY: the types are those of libmodsecurity's headers.
        let (call, init, set_log, create_rules, add_file) = unsafe {
            (
                functions(&library)?,
                *library.get::<unsafe extern "C" fn() -> Pointer>(b"msc_init\0")?,
                *library.get::<unsafe extern "C" fn(Pointer, extern "C" fn(*mut c_void, *const c_void))>(
                    b"msc_set_log_cb\0",
                )?,
                *library.get::<unsafe extern "C" fn() -> Pointer>(b"msc_create_rules_set\0")?,
                *library.get::<unsafe extern "C" fn(Pointer, *const c_char, *mut *const c_char) -> c_int>(
                    b"msc_rules_add_file\0",
                )?,
            )
        };
        let file = CString::new(rules_file.as_os_str().as_encoded_bytes())?;
        let mut problem: *const c_char = null();
        // SAFETY: the pointers come from the library, the strings live through the calls.
        let (engine, rules, loaded) = unsafe {
            let engine = init();
            set_log(engine, log);
            let rules = create_rules();
            (engine, rules, add_file(rules, file.as_ptr(), &raw mut problem))
        };
        if loaded < 0 {
            // SAFETY: on failure the library leaves a C string here, or nothing.
            let text = (!problem.is_null()).then(|| unsafe { CStr::from_ptr(problem) }.to_string_lossy());
            bail!("libmodsecurity refuses {}: {}", rules_file.display(), text.unwrap_or_default());
        }
        // SAFETY: a C string that lives as long as the engine.
        let version = unsafe { CStr::from_ptr((call.who_am_i)(engine)) }.to_string_lossy().into_owned();
        Ok(Self { call, engine, rules, version: format!("{version}, {loaded} rules"), _library: library })
    }

    /// What the library says it is.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Judges a request. Gives the status of its refusal.
    pub fn judge(&self, request: &Prepared) -> Result<Option<u16>> {
        // SAFETY: the engine and the rules live as long as this.
        let pointer = unsafe { (self.call.new_transaction)(self.engine, self.rules, null_mut()) };
        ensure!(!pointer.is_null(), "libmodsecurity makes no transaction");
        let transaction = Transaction(&self.call, pointer);
        let refused = self.phases(&transaction, request);
        // SAFETY: as above.
        unsafe { (self.call.process_logging)(transaction.1) };
        Ok(refused)
    }

    /// Judges a request and gives the ids of the rules that logged, and the status of its refusal.
    pub fn outcome(&self, request: &Prepared) -> Result<(Vec<u64>, Option<u16>)> {
        LINES.with_borrow_mut(Vec::clear);
        NOTING.set(true);
        let refused = self.judge(request);
        NOTING.set(false);
        let ids: Result<Vec<u64>> = LINES.with_borrow(|lines| lines.iter().map(|line| id_of(line)).collect());
        Ok((ids?, refused?))
    }

    fn phases(&self, transaction: &Transaction<'_>, request: &Prepared) -> Option<u16> {
        let (call, transaction) = (&self.call, transaction.1);
        // SAFETY: the transaction is alive; strings end in NUL or go with their length, and live through the calls.
        unsafe {
            (call.process_connection)(transaction, c"192.0.2.7".as_ptr(), 40000, c"192.0.2.80".as_ptr(), 80);
            (call.process_uri)(
                transaction,
                request.target.as_ptr(),
                request.method.as_ptr(),
                c"1.1".as_ptr(),
            );
            for (name, value) in &request.headers {
                (call.add_request_header)(
                    transaction,
                    name.as_ptr(),
                    name.len(),
                    value.as_ptr(),
                    value.len(),
                );
            }
            (call.process_request_headers)(transaction);
        }
        if let Some(status) = self.refusal(transaction) {
            return Some(status);
        }
        // SAFETY: as above.
        unsafe {
            if !request.body.is_empty() {
                (call.append_request_body)(transaction, request.body.as_ptr(), request.body.len());
            }
            (call.process_request_body)(transaction);
        }
        if let Some(status) = self.refusal(transaction) {
            return Some(status);
        }
        // SAFETY: as above.
        unsafe {
            for (name, value) in [("Content-Type", "text/html"), ("Content-Length", "1024")] {
                (call.add_response_header)(
                    transaction,
                    name.as_ptr(),
                    name.len(),
                    value.as_ptr(),
                    value.len(),
                );
            }
            (call.process_response_headers)(transaction, 200, c"HTTP/1.1".as_ptr());
        }
        if let Some(status) = self.refusal(transaction) {
            return Some(status);
        }
        // SAFETY: as above.
        unsafe { (call.process_response_body)(transaction) };
        self.refusal(transaction)
    }

    /// The status of an intervention, if the library wants one.
    fn refusal(&self, transaction: Pointer) -> Option<u16> {
        let mut wish =
            Intervention { status: 200, pause: 0, url: null_mut(), log: null_mut(), disruptive: 0 };
        // SAFETY: the transaction is alive; what the library allocates for us is freed once.
        unsafe {
            let wanted = (self.call.intervention)(transaction, &raw mut wish) != 0;
            // The rule that intervenes logs here, not to the callback.
            log(null_mut(), wish.log.cast());
            free(wish.url.cast());
            free(wish.log.cast());
            wanted.then(|| u16::try_from(wish.status).unwrap_or(0))
        }
    }
}

impl Drop for ModSecurity {
    fn drop(&mut self) {
        // SAFETY: both pointers came from the library; no transaction outlives its call to `judge`.
        unsafe {
            (self.call.rules_cleanup)(self.rules);
            (self.call.cleanup)(self.engine);
        }
    }
}

/// The functions of the C API.
///
/// # Safety
/// The library must be libmodsecurity 3.
unsafe fn functions(library: &Library) -> Result<Functions> {
    // SAFETY: the caller promises the library; the types are those of its headers.
    unsafe {
        Ok(Functions {
            who_am_i: *library.get(b"msc_who_am_i\0")?,
            new_transaction: *library.get(b"msc_new_transaction\0")?,
            process_connection: *library.get(b"msc_process_connection\0")?,
            process_uri: *library.get(b"msc_process_uri\0")?,
            add_request_header: *library.get(b"msc_add_n_request_header\0")?,
            process_request_headers: *library.get(b"msc_process_request_headers\0")?,
            append_request_body: *library.get(b"msc_append_request_body\0")?,
            process_request_body: *library.get(b"msc_process_request_body\0")?,
            add_response_header: *library.get(b"msc_add_n_response_header\0")?,
            process_response_headers: *library.get(b"msc_process_response_headers\0")?,
            process_response_body: *library.get(b"msc_process_response_body\0")?,
            process_logging: *library.get(b"msc_process_logging\0")?,
            intervention: *library.get(b"msc_intervention\0")?,
            transaction_cleanup: *library.get(b"msc_transaction_cleanup\0")?,
            rules_cleanup: *library.get(b"msc_rules_cleanup\0")?,
            cleanup: *library.get(b"msc_cleanup\0")?,
        })
    }
}

/// The id in a log line: `[id "942100"]`.
fn id_of(line: &str) -> Result<u64> {
    let rest = line.split_once("[id \"").map(|(_, rest)| rest);
    let id = rest.and_then(|rest| rest.split_once('"')).map(|(id, _)| id);
    id.with_context(|| format!("a log line without an id: {line}"))?.parse().context("an id")
}
