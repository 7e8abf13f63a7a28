-- Portable to PostgreSQL: TEXT, BIGINT and BLOB (BYTEA) only; times are milliseconds since the epoch; JSON is TEXT.
-- Every key carries (cluster, tenant, namespace, name).

-- Numbers that only grow. Taking one is part of the transaction that uses it.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('revision', 0);
INSERT INTO counters (name, value) VALUES ('audit', 0);
INSERT INTO counters (name, value) VALUES ('event', 0);

-- The documents in force.
CREATE TABLE documents (
    cluster    TEXT   NOT NULL,
    tenant     TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    namespace  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    origin     TEXT   NOT NULL,
    body       TEXT   NOT NULL,
    revision   BIGINT NOT NULL,
    PRIMARY KEY (cluster, tenant, kind, namespace, name)
);

-- Every change that ever was, with its author. `body` is null for a deletion.
CREATE TABLE revisions (
    revision   BIGINT NOT NULL PRIMARY KEY,
    cluster    TEXT   NOT NULL,
    tenant     TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    namespace  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    action     TEXT   NOT NULL,
    author     TEXT   NOT NULL,
    time_ms    BIGINT NOT NULL,
    body       TEXT
);
CREATE INDEX revisions_of_document ON revisions (cluster, tenant, kind, namespace, name, revision);

CREATE TABLE audit (
    seq      BIGINT NOT NULL PRIMARY KEY,
    time_ms  BIGINT NOT NULL,
    actor    TEXT   NOT NULL,
    action   TEXT   NOT NULL,
    object   TEXT   NOT NULL,
    outcome  TEXT   NOT NULL,
    detail   TEXT   NOT NULL
);
CREATE INDEX audit_by_outcome ON audit (outcome, seq);

-- API tokens: the digest only, never the token. `namespace` is null for a token that is good everywhere.
CREATE TABLE tokens (
    id          TEXT   NOT NULL PRIMARY KEY,
    digest      TEXT   NOT NULL UNIQUE,
    role        TEXT   NOT NULL,
    namespace   TEXT,
    description TEXT   NOT NULL,
    created_ms  BIGINT NOT NULL,
    expires_ms  BIGINT
);

-- Join tokens: the secret's digest only.
CREATE TABLE join_tokens (
    digest     TEXT   NOT NULL PRIMARY KEY,
    cluster    TEXT   NOT NULL,
    tenant     TEXT   NOT NULL,
    namespace  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    principal  TEXT   NOT NULL,
    author     TEXT   NOT NULL,
    expires_ms BIGINT NOT NULL,
    uses_left  BIGINT NOT NULL
);

-- What each workload's sidecar last said about its policy.
CREATE TABLE sidecars (
    cluster      TEXT   NOT NULL,
    tenant       TEXT   NOT NULL,
    namespace    TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    version      TEXT   NOT NULL,
    acked        BIGINT NOT NULL,
    error        TEXT   NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    PRIMARY KEY (cluster, tenant, namespace, name)
);

-- Security events, a ring: the oldest rows make room.
CREATE TABLE events (
    seq        BIGINT NOT NULL PRIMARY KEY,
    reference  TEXT   NOT NULL,
    time_ms    BIGINT NOT NULL,
    cluster    TEXT   NOT NULL,
    tenant     TEXT   NOT NULL,
    namespace  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    reason     TEXT   NOT NULL,
    record     TEXT   NOT NULL
);
CREATE INDEX events_by_reference ON events (reference);
CREATE INDEX events_by_workload ON events (namespace, name, seq);
