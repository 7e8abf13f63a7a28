//! What a registry exposes for Prometheus, as OTLP metrics: one set of values, two ways out.
//!
//! Promises: only metrics of [`Metric`] pass, with all their values; a line that cannot be read is left out, never
//! guessed; counters and histograms are cumulative. It reads our own exposition, not any other's.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;

use crate::attribute::text;
use crate::limits::METRIC_POINTS;
use crate::metrics::{Metric, MetricKind};

/// Name and value of a label.
type Label = (String, String);

/// One histogram while its lines are read.
#[derive(Default)]
struct Buckets {
    /// Upper bounds and cumulative counts, as exposed.
    bounds: Vec<(f64, u64)>,
    sum: f64,
    count: u64,
}

/// The values of one metric, by their labels.
enum Values {
    Numbers(Vec<(Vec<Label>, f64)>),
    Histograms(BTreeMap<Vec<Label>, Buckets>),
}

/// What a line is of its metric.
#[derive(Clone, Copy)]
enum Part {
    Value,
    Bucket,
    Sum,
    Count,
}

/// The metrics of an exposition, in lists of at most [`METRIC_POINTS`] values.
pub(crate) fn to_otlp(exposition: &str, start_ns: u64, now_ns: u64) -> Vec<Vec<otlp::Metric>> {
    let mut read: BTreeMap<Metric, Values> = BTreeMap::new();
    for line in exposition.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, labels, value)) = parse(line)
            && let Some((metric, part)) = metric(name)
        {
            take(&mut read, metric, part, labels, value);
        }
    }
    let mut lists = Vec::new();
    let (mut list, mut points) = (Vec::new(), 0);
    for (metric, values) in read {
        for (count, data) in data(metric, values, start_ns, now_ns) {
            if points > 0 && points + count > METRIC_POINTS {
                lists.push(std::mem::take(&mut list));
                points = 0;
            }
            points += count;
            list.push(otlp::Metric {
                name: metric.name().to_owned(),
                description: metric.help().to_owned(),
                unit: metric.unit().to_owned(),
                data: Some(data),
                ..otlp::Metric::default()
            });
        }
    }
    if !list.is_empty() {
        lists.push(list);
    }
    lists
}

/// `name{label="value",…} value`, as our registry writes it.
fn parse(line: &str) -> Option<(&str, Vec<Label>, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at_checked(end)?;
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    // A timestamp or an exemplar may follow the value; we write neither.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, labels, value))
}

/// The text up to the closing quote without its escapes, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

/// The metric an exposed name belongs to.
fn metric(name: &str) -> Option<(Metric, Part)> {
    let of = |name: &str| Metric::ALL.iter().copied().find(|metric| metric.name() == name);
    if let Some(metric) = of(name) {
        return (metric.kind() != MetricKind::Histogram).then_some((metric, Part::Value));
    }
    [("_bucket", Part::Bucket), ("_sum", Part::Sum), ("_count", Part::Count)].into_iter().find_map(
        |(suffix, part)| {
            let metric = of(name.strip_suffix(suffix)?)?;
            (metric.kind() == MetricKind::Histogram).then_some((metric, part))
        },
    )
}

fn take(read: &mut BTreeMap<Metric, Values>, metric: Metric, part: Part, mut labels: Vec<Label>, value: f64) {
    let values = read.entry(metric).or_insert_with(|| match metric.kind() {
        MetricKind::Histogram => Values::Histograms(BTreeMap::new()),
        MetricKind::Counter | MetricKind::Gauge => Values::Numbers(Vec::new()),
    });
    match values {
        Values::Numbers(numbers) => numbers.push((labels, value)),
        Values::Histograms(histograms) => {
            let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
            let histogram = histograms.entry(labels).or_default();
            match (part, bound.and_then(|bound| bound.parse::<f64>().ok())) {
                (Part::Sum, _) => histogram.sum = value,
                (Part::Count, _) => histogram.count = whole(value),
                (Part::Bucket, Some(bound)) => histogram.bounds.push((bound, whole(value))),
                (Part::Bucket, None) | (Part::Value, _) => {}
            }
        }
    }
}

/// A count as it was before it was written; what is no count is none.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(value: f64) -> u64 {
    // The cast saturates and takes not-a-number as 0.
    value as u64
}

/// The data of one metric in pieces of at most [`METRIC_POINTS`] values, with their number.
fn data(metric: Metric, values: Values, start_ns: u64, now_ns: u64) -> Vec<(usize, Data)> {
    let cumulative: i32 = otlp::AggregationTemporality::Cumulative.into();
    match values {
        Values::Numbers(numbers) => numbers
            .chunks(METRIC_POINTS)
            .map(|chunk| {
                let points = chunk.iter().map(|(labels, value)| otlp::NumberDataPoint {
                    attributes: attributes(labels),
                    start_time_unix_nano: start_ns,
                    time_unix_nano: now_ns,
                    value: Some(Value::AsDouble(*value)),
                    ..otlp::NumberDataPoint::default()
                });
                let data_points = points.collect();
                let data = match metric.kind() {
                    MetricKind::Gauge => Data::Gauge(otlp::Gauge { data_points }),
                    MetricKind::Counter | MetricKind::Histogram => Data::Sum(otlp::Sum {
                        data_points,
                        aggregation_temporality: cumulative,
                        is_monotonic: true,
                    }),
                };
                (chunk.len(), data)
            })
            .collect(),
        Values::Histograms(histograms) => {
            let points: Vec<_> = histograms
                .into_iter()
                .map(|(labels, buckets)| point(&labels, buckets, start_ns, now_ns))
                .collect();
            points
                .chunks(METRIC_POINTS)
                .map(|chunk| {
                    let data_points = chunk.to_vec();
                    let data = otlp::Histogram { data_points, aggregation_temporality: cumulative };
                    (chunk.len(), Data::Histogram(data))
                })
                .collect()
        }
    }
}

fn point(labels: &[Label], mut buckets: Buckets, start_ns: u64, now_ns: u64) -> otlp::HistogramDataPoint {
    buckets.bounds.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    buckets.bounds.retain(|(bound, _)| bound.is_finite());
    let mut below = 0;
    let mut bucket_counts: Vec<u64> = Vec::with_capacity(buckets.bounds.len() + 1);
    for (_, up_to) in &buckets.bounds {
        bucket_counts.push(up_to.saturating_sub(below));
        below = *up_to;
    }
    // OTLP's last bucket has no upper bound.
    bucket_counts.push(buckets.count.saturating_sub(below));
    otlp::HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start_ns,
        time_unix_nano: now_ns,
        count: buckets.count,
        sum: Some(buckets.sum),
        bucket_counts,
        explicit_bounds: buckets.bounds.iter().map(|(bound, _)| *bound).collect(),
        ..otlp::HistogramDataPoint::default()
    }
}

fn attributes(labels: &[Label]) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| text(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# HELP palisade_denials Said.\n# TYPE palisade_denials counter\n\
        palisade_denials_total{listener=\"a,\\\"}\\\\b\",cause=\"no_route\"} 3\n\
        palisade_denials_total{listener=\"edge\",cause=\"no_route\"} 4\n\
        palisade_buffered_bytes 17\n\
        istio_request_bytes_sum{reporter=\"source\"} 30.5\n\
        istio_request_bytes_count{reporter=\"source\"} 4\n\
        istio_request_bytes_bucket{le=\"1.0\",reporter=\"source\"} 1\n\
        istio_request_bytes_bucket{le=\"8.0\",reporter=\"source\"} 3\n\
        istio_request_bytes_bucket{le=\"+Inf\",reporter=\"source\"} 4\n\
        somebody_elses_total 5\nnot a line\n# EOF\n";

    #[test]
    fn counters_gauges_and_histograms_keep_their_values_and_labels() {
        let lists = to_otlp(TEXT, 1, 2);
        assert_eq!(lists.len(), 1);
        let named = |name: &str| {
            lists[0].iter().find(|metric| metric.name == name).and_then(|metric| metric.data.clone())
        };
        assert_eq!(lists[0].len(), 3, "nothing else passes");
        let Some(Data::Sum(sum)) = named("palisade_denials_total") else { panic!("a sum") };
        let values: Vec<_> = sum.data_points.iter().map(|point| point.value.unwrap()).collect();
        assert_eq!(values, [Value::AsDouble(3.0), Value::AsDouble(4.0)]);
        assert_eq!(sum.data_points[0].attributes[0], text("listener", "a,\"}\\b"));
        assert!(sum.is_monotonic);
        let Some(Data::Gauge(gauge)) = named("palisade_buffered_bytes") else { panic!("a gauge") };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(17.0)));
        let Some(Data::Histogram(histogram)) = named("istio_request_bytes") else { panic!("a histogram") };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (4, Some(30.5)));
        assert_eq!(point.explicit_bounds, [1.0, 8.0]);
        assert_eq!(point.bucket_counts, [1, 2, 1]);
        assert_eq!(point.attributes, [text("reporter", "source")]);
    }

    #[test]
    fn a_list_holds_at_most_so_many_values_at_under_and_over() {
        let lists = |count: usize| {
            let lines = (0..count).map(|at| format!("palisade_connections_active{{listener=\"{at}\"}} 1\n"));
            to_otlp(&lines.collect::<String>(), 1, 2).len()
        };
        assert_eq!(lists(METRIC_POINTS - 1), 1);
        assert_eq!(lists(METRIC_POINTS), 1);
        assert_eq!(lists(METRIC_POINTS + 1), 2);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(istio_request_bytes(_bucket|_sum)?(\\{[a-z=\",\\\\}]{0,12}\\}?)? [0-9.]{0,3}\n){0,4}") {
            to_otlp(&text, 1, 2);
        }
    }
}
