//! Laws that hold for any evidence.

use proptest::prelude::*;

use super::*;

/// Any fit evidence for an item.
fn any_values(rubric: &Rubric, subject: &Item, words: &[u64]) -> ItemEvidence {
    let pick = |index: usize, below: u64| {
        words[index % words.len()].wrapping_mul(index as u64 + 7) % below
    };
    let mut evidence = item(Vec::new());
    for (
        index,
        Field {
            key,
            kind,
            may_not_apply,
        },
    ) in subject.fields().into_iter().enumerate()
    {
        if pick(index, 5) == 0 {
            continue;
        }
        let value = match kind {
            FieldKind::YesNo => yes(pick(index + 1, 2) == 0),
            FieldKind::Count if may_not_apply && pick(index + 2, 3) == 0 => Value::NotApplicable,
            FieldKind::Count => n(pick(index + 1, 60)),
            FieldKind::Number => Value::Number(Decimal::of_hundredths(pick(index + 1, 1_000))),
            FieldKind::Choice(names) => Value::Choice(
                names[usize::try_from(pick(index + 1, names.len() as u64)).unwrap()].clone(),
            ),
            FieldKind::Points { max } => Value::Points(Decimal::of_hundredths(pick(
                index + 1,
                max.hundredths() + 1,
            ))),
            FieldKind::Text => word("说明"),
            FieldKind::List { .. } => continue,
        };
        evidence.values.insert(key, value);
    }
    // What contradicts itself is left out, as an entry form would refuse it.
    while let Some(fault) = evidence::check(rubric, Stage::Primary, subject, &evidence).first() {
        evidence
            .values
            .remove(&fault.key)
            .expect("a fault names its answer");
    }
    evidence
}

fn any_evidence() -> impl Strategy<Value = SchoolEvidence> {
    proptest::collection::vec(proptest::collection::vec(any::<u64>(), 16), 36).prop_map(|words| {
        let rubric = rubric();
        let items: Vec<&Item> = rubric.items().collect();
        items
            .into_iter()
            .zip(&words)
            .map(|(subject, words)| (subject.id.clone(), any_values(&rubric, subject, words)))
            .collect()
    })
}

proptest! {
    #[test]
    fn totals_stay_in_range_and_every_sum_adds_up_as_shown(evidence in any_evidence(), counted in 0..3_000_u128) {
        let rubric = rubric();
        let monitoring = monitoring::Score {
            points: Fraction::new(counted.min(1_402) * 15, 1_402),
            ..best_monitoring()
        };
        let sheet = score(&rubric, Stage::Primary, &evidence, Some(&monitoring));
        prop_assert!(sheet.total <= rubric.total);
        for (group, scored) in rubric.groups.iter().zip(&sheet.groups) {
            prop_assert!(scored.points <= group.weight);
            for (indicator, scored) in group.indicators.iter().zip(&scored.indicators) {
                prop_assert!(group.capped || scored.points <= indicator.weight);
                for (item, scored) in indicator.items.iter().zip(&scored.items) {
                    prop_assert!(item.max().is_none_or(|max| scored.points <= max), "{}", item.id);
                    prop_assert!(!scored.reason.is_empty());
                }
            }
        }
        // What a sheet shows adds up to the digit, though 后台监测 is rounded.
        let shown: u64 = sheet.groups.iter().map(|group| group.points.hundredths()).sum();
        prop_assert_eq!(shown, sheet.total.hundredths());
        let text = serde_json::to_string(&sheet).unwrap();
        prop_assert_eq!(serde_json::from_str::<ScoreSheet>(&text).unwrap(), sheet);
    }

    #[test]
    fn an_award_more_never_lowers_a_total(evidence in any_evidence(), pick in 0..30_usize) {
        let rubric = rubric();
        let before = score(&rubric, Stage::Primary, &evidence, None).total;
        let awards: Vec<(String, String)> = rubric
            .groups
            .iter()
            .filter(|group| group.capped)
            .flat_map(|group| &group.indicators)
            .flat_map(|indicator| &indicator.items)
            .flat_map(|item| item.fields().into_iter().map(|field| (item.id.clone(), field)))
            .filter(|(_, field)| field.kind == FieldKind::Count)
            .map(|(id, field)| (id, field.key))
            .collect();
        let (id, key) = &awards[pick % awards.len()];
        let mut more = evidence;
        let values = &mut more.entry(id.clone()).or_default().values;
        let count = match values.get(key) {
            Some(Value::Count(count)) => *count,
            _ => 0,
        };
        values.insert(key.clone(), n(count + 1));
        prop_assert!(score(&rubric, Stage::Primary, &more, None).total >= before);
    }

    #[test]
    fn a_list_in_any_order_counts_the_same(rows in proptest::collection::vec((0..3_usize, 0..4_usize, 0..3_usize, 1..4_u32), 1..20), seed in any::<u64>()) {
        let rubric = rubric();
        let (contests, levels, prizes) = (["甲", "乙", "丙"], ["国家", "省", "市", "县"], ["一等奖", "二等奖", "三等奖"]);
        let mut list: Vec<ListRow> = rows
            .iter()
            .map(|(title, level, prize, person)| award(contests[*title], levels[*level], prizes[*prize], Some(*person)))
            .collect();
        let first = scored(&rubric, "5.1", vec![(LIST, Value::List(list.clone()))]);
        let by = usize::try_from(seed % list.len() as u64).unwrap();
        list.rotate_left(by);
        list.reverse();
        prop_assert_eq!(scored(&rubric, "5.1", vec![(LIST, Value::List(list))]).points, first.points);
    }
}
