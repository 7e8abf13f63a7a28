//! The documents of the demo, as a user would write them.

use std::fmt::Write as _;

use super::{MEMBERS, Member, Ports};

/// The rule set's SecLang. Two rules with libinjection: enough to show blocking and detecting without the Core Rule Set.
const RULES: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecRule ARGS|REQUEST_COOKIES "@detectSQLi" "id:100100,phase:2,deny,status:403,log,t:none,t:urlDecodeUni,msg:'SQL injection',tag:'attack-sqli',severity:'CRITICAL'"
SecRule ARGS|REQUEST_COOKIES "@detectXSS" "id:100200,phase:2,deny,status:403,log,t:none,t:urlDecodeUni,t:htmlEntityDecode,msg:'Cross-site scripting',tag:'attack-xss',severity:'CRITICAL'"
"#;

/// Inventory: what runs where.
pub fn inventory(ports: &Ports) -> String {
    let mut text = String::new();
    for member in MEMBERS {
        let Member { name, address, .. } = member;
        let _ = write!(
            text,
            "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec:\n  address: {address}\n  serviceAccount: {name}\n  labels: {{app: {name}}}\n  ports: {{http: {}, ledger: {}}}\n",
            ports.inbound, ports.inbound_tcp
        );
    }
    for name in ["shop", "payments", "catalog"] {
        let ledger = if name == "payments" { ", {number: 5432, protocol: TCP, name: ledger}" } else { "" };
        let _ = write!(
            text,
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec:\n  hosts: [{name}.shop]\n  ports: [{{number: 80, protocol: HTTP, name: http}}{ledger}]\n  \
             workloadSelector: {{labels: {{app: {name}}}}}\n"
        );
    }
    text
}

/// Who may call what.
pub fn authorization(ports: &Ports) -> String {
    let allow = |callee: &str, rules: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
             metadata: {{name: {callee}-callers, namespace: shop}}\nspec:\n  selector: {{matchLabels: {{app: {callee}}}}}\n  \
             action: ALLOW\n  rules:\n{rules}"
        )
    };
    let from = |caller: &str| {
        format!("  - from: [{{source: {{principals: [cluster.local/ns/shop/sa/{caller}]}}}}]\n")
    };
    let payments = from("shop")
        + "    to: [{operation: {methods: [GET], paths: [/charge]}}]\n"
        + &from("shop")
        + &format!("    to: [{{operation: {{ports: [\"{}\"]}}}}]\n", ports.inbound_tcp);
    allow("payments", &payments) + &allow("catalog", &from("shop")) + &allow("shop", &from("gateway"))
}

/// The edge.
pub fn gateway(ports: &Ports) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
         metadata: {{name: edge, namespace: shop, annotations: {{palisade.dev/workload: gateway}}}}\n\
         spec:\n  gatewayClassName: palisade\n  listeners: [{{name: web, port: {}, protocol: HTTP}}]\n\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: shop, namespace: shop}}\n\
         spec:\n  parentRefs: [{{name: edge}}]\n  rules:\n  - matches: [{{path: {{type: PathPrefix, value: /}}}}]\n    \
         backendRefs: [{{name: shop, port: 80}}]\n",
        ports.gateway
    )
}

/// The rule set, as a document.
pub fn rule_set() -> String {
    let text: String = RULES.trim().lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: RuleSet\nmetadata: {{name: demo-rules, namespace: shop}}\n\
         spec:\n  sources:\n  - name: demo.conf\n    text: |\n{text}"
    )
}

/// The WAF policy of the gateway, with the mode of the SQL injection rule.
pub fn waf_policy(sql_injection: &str) -> String {
    format!(
        "apiVersion: palisade.dev/v1alpha1\nkind: WafPolicy\nmetadata: {{name: edge, namespace: shop}}\n\
         spec:\n  selector: {{matchLabels: {{app: gateway}}}}\n  ruleSet: demo-rules\n  mode: block\n  \
         groups: [{{tag: attack-sqli, mode: {sql_injection}}}]\n"
    )
}
