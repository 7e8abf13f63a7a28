//! Names of event handlers that are newer than libinjection's list. Made by `cargo xtask tables` from the Web IDL of
//! the platform's specifications; do not edit.
//!
//! The package `@webref/idl`, Copyright 2020 World Wide Web Consortium; MIT licence: see NOTICE.

/// After `ON`, in order; none begins with another one, nor with one of libinjection's.
pub const NEWER_EVENTS: &[&str] = &[
    "AFTERSCRIPTEXECUTE",
    "APPINSTALLED",
    "AUXCLICK",
    "BEFOREINSTALLPROMPT",
    "BEFOREMATCH",
    "BEFORESCRIPTEXECUTE",
    "BEFORETOGGLE",
    "BEFOREXRSELECT",
    "BEGIN",
    "BOUNCE",
    "COMMAND",
    "CONTEXTLOST",
    "CONTEXTRESTORED",
    "FENCEDTREECLICK",
    "FORMDATA",
    "FREEZE",
    "FULLSCREENCHANGE",
    "FULLSCREENERROR",
    "LOCATION",
    "MOZFULLSCREENCHANGE",
    "MOZFULLSCREENERROR",
    "PAGEREVEAL",
    "PAGESWAP",
    "POINTERRAWUPDATE",
    "PORTALACTIVATE",
    "PRERENDERINGCHANGE",
    "REPEAT",
    "SNAPCHANGED",
    "SNAPCHANGING",
    "STREAM",
];
