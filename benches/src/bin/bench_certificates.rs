//! Makes the identities of a measurement: a root, and SVIDs of a server and a client, as PEM files.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

/// Writes root.pem and, for each name, NAME.pem and NAME.key.
#[derive(Parser)]
struct Arguments {
    /// Where to.
    #[arg(long)]
    dir: PathBuf,
    /// Service accounts of namespace `bench` in trust domain `cluster.local`.
    #[arg(long, num_args = 1.., default_values = ["server", "client"])]
    names: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.dir)?;
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::default();
    // OpenSSL takes a leaf whose subject is its issuer's for a self-signed one.
    root.distinguished_name.push(DnType::CommonName, "bench root");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    root.subject_alt_names = vec![SanType::URI(Ia5String::try_from("spiffe://cluster.local".to_owned())?)];
    let root_certificate = root.self_signed(&root_key)?;
    std::fs::write(arguments.dir.join("root.pem"), root_certificate.pem())?;
    let issuer = Issuer::new(root, root_key);
    for name in &arguments.names {
        let key = KeyPair::generate()?;
        // The DNS name is for peers that know no SPIFFE.
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()])?;
        leaf.distinguished_name.push(DnType::CommonName, name.as_str());
        let id = format!("spiffe://cluster.local/ns/bench/sa/{name}");
        leaf.subject_alt_names.push(SanType::URI(Ia5String::try_from(id)?));
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = leaf.signed_by(&key, &issuer)?;
        std::fs::write(arguments.dir.join(format!("{name}.pem")), certificate.pem())?;
        std::fs::write(arguments.dir.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
