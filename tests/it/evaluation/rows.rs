//! The rows of a frozen run beside its parts: what they say otherwise is found, and nothing is listed from them.

use classpulse::{
    domain::rubric,
    evaluation::{freeze, list_evidence, list_exclusions, verify},
    store::{EvaluationStore as _, Record},
};

use super::{
    Kept,
    county::{NOW, draft, everything, filled, freezing, moved},
    exclusion, said,
};

type Change<'a> = &'a dyn Fn(&mut Record);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tampered_row_is_found() {
    let Kept { store, .. } = &filled().await;
    let run = draft(store, "k").await;
    store.add_exclusion(run, exclusion(5, 1, 2)).await.unwrap();
    freeze(store, run, freezing()).await.unwrap();
    let other = format!("{}\n# 另一份\n", rubric::DEFAULT);
    let other = store.put_rubric(&other, NOW).await.unwrap();
    let predecessor = draft(store, "before").await;
    freeze(store, predecessor, freezing()).await.unwrap();
    let all = everything(store).await;
    let changes: [(&str, Change<'_>); 8] = [
        ("rubric", &|record| {
            if let Record::Run(run) = record
                && run.key == "k"
            {
                run.rubric = other;
            }
        }),
        ("run", &|record| {
            if let Record::Run(run) = record
                && run.key == "k"
            {
                run.supersedes = Some("before".to_owned());
            }
        }),
        ("run", &|record| {
            if let Record::Run(run) = record
                && run.key == "k"
            {
                run.minutes_from = Some("before".to_owned());
            }
        }),
        ("evidence", &|record| {
            if let Record::RunEvidence(one) = record {
                one.content = one.content.replace("true", "false");
            }
        }),
        ("evidence", &|record| {
            if let Record::RunEvidence(one) = record {
                one.content = "{}".to_owned();
            }
        }),
        ("evidence", &|record| {
            if let Record::RunEvidence(one) = record
                && one.item == "5.3"
            {
                one.item = "5.4".to_owned();
            }
        }),
        ("exclusions", &|record| {
            if let Record::RunExclusion(one) = record {
                one.exclusion.reason = "没有理由".to_owned();
            }
        }),
        ("exclusions", &|record| {
            if let Record::RunExclusion(one) = record {
                one.number += 1;
            }
        }),
    ];
    for (index, (expected, change)) in changes.into_iter().enumerate() {
        let mut altered = all.clone();
        altered.iter_mut().for_each(change);
        assert_ne!(altered, all, "{index}");
        // A run comes after those that it refers to.
        altered.sort_by_key(|record| match record {
            Record::Run(run) => 1 + u8::from(run.key == "k"),
            Record::RunEvidence(_) | Record::RunExclusion(_) | Record::RunPart(_) => 3,
            _ => 0,
        });
        let other = moved(&altered).await;
        let found = verify(&other.store, run).await.unwrap();
        assert_eq!(said(&found), [expected], "{index}: {found:?}");
        // What is listed is what was frozen, whatever the rows say.
        let (here, there) = (store, &other.store);
        assert_eq!(
            list_evidence(there, run, None).await.unwrap(),
            list_evidence(here, run, None).await.unwrap()
        );
        assert_eq!(
            list_exclusions(there, run).await.unwrap(),
            store.exclusions(run).await.unwrap()
        );
    }
}
