//! The closed list of operators.

macro_rules! kinds {
    ($($variant:ident $name:literal $(| $alias:literal)?;)*) => {
        /// An operator, by its SecLang name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum OperatorKind {
            $(#[doc = concat!("`@", $name, "`")] $variant,)*
        }

        impl OperatorKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its SecLang name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    BeginsWith "beginsWith";
    Contains "contains";
    ContainsWord "containsWord";
    DetectSqli "detectSQLi";
    DetectXss "detectXSS";
    EndsWith "endsWith";
    Eq "eq";
    FuzzyHash "fuzzyHash";
    Ge "ge";
    GeoLookup "geoLookup";
    GsbLookup "gsbLookup";
    Gt "gt";
    InspectFile "inspectFile";
    IpMatch "ipMatch";
    IpMatchFromFile "ipMatchFromFile";
    Le "le";
    Lt "lt";
    NoMatch "noMatch";
    Pm "pm";
    PmFromFile "pmFromFile";
    Rbl "rbl";
    Rsub "rsub";
    Rx "rx";
    RxGlobal "rxGlobal";
    StrEq "streq";
    StrMatch "strmatch";
    UnconditionalMatch "unconditionalMatch";
    ValidateByteRange "validateByteRange";
    ValidateDtd "validateDTD";
    ValidateHash "validateHash";
    ValidateSchema "validateSchema";
    ValidateUrlEncoding "validateUrlEncoding";
    ValidateUtf8Encoding "validateUtf8Encoding";
    VerifyCc "verifyCC";
    VerifyCpf "verifyCPF";
    VerifySsn "verifySSN";
    VerifySvnr "verifySVNR";
    Within "within";
}
