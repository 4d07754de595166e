//! Rows of the school table: county, township, school, stage.
//!
//! Not responsible for terminals.

use std::collections::BTreeMap;

use super::row::{Column, Columns, Errors, ImportReport, Snapshot};
use crate::{
    domain::ids::{CountyCode, SchoolCode, Stage},
    store::{County, RegistryChange, School},
};

/// Headings of the school table.
pub(super) const COLUMNS: [Column; 6] = [
    ("区县代码", true),
    ("区县名称", true),
    ("乡镇", false),
    ("学校标识码", true),
    ("学校名称", true),
    ("学段", true),
];

pub(super) const SCHOOL_CODE: &str =
    "10 位数字的学校标识码,或教学点的本地编号(1 到 20 位字母、数字、“-”,至少一个字母)";

pub(super) fn plan(
    sheets: &[Columns<'_>],
    snapshot: &Snapshot,
    report: &mut ImportReport,
    change: &mut RegistryChange,
    errors: &mut Errors,
) {
    let mut counties: BTreeMap<CountyCode, (County, String)> = BTreeMap::new();
    let mut schools: BTreeMap<SchoolCode, (School, String)> = BTreeMap::new();
    for row in sheets.iter().flat_map(Columns::rows) {
        let county: Option<CountyCode> =
            row.parse(errors, "区县代码", "6 位数字的行政区划代码,如 231123");
        let county_name = row.name(errors, "区县名称", false);
        let code: Option<SchoolCode> = row.parse(errors, "学校标识码", SCHOOL_CODE);
        let name = row.name(errors, "学校名称", false);
        let stages: Vec<_> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        let stage: Option<Stage> =
            row.parse(errors, "学段", &format!("以下之一:{}", stages.join("、")));
        let township = row.name(errors, "乡镇", true);
        let (Some(county), Some(county_name), Some(code), Some(name), Some(stage), Some(township)) =
            (county, county_name, code, name, stage, township)
        else {
            continue;
        };
        match counties.get(&county) {
            Some((other, place)) if other.name != county_name => {
                let message = format!(
                    "区县 {county} 在{place}叫“{}”,同一代码只能有一个名称",
                    other.name
                );
                row.fail(errors, "区县名称", message);
            }
            _ => {
                let named = County {
                    code: county.clone(),
                    name: county_name,
                };
                counties
                    .entry(county.clone())
                    .or_insert((named, row.place()));
            }
        }
        if let Some((_, place)) = schools.get(&code) {
            row.fail(errors, "学校标识码", format!("{code} 与{place}重复"));
            continue;
        }
        schools.insert(
            code.clone(),
            (
                School {
                    code,
                    name,
                    stage,
                    township,
                    county,
                },
                row.place(),
            ),
        );
    }
    for (code, (school, _)) in schools {
        report.count(snapshot.schools.get(&code), &school, 1);
        if snapshot.schools.get(&code) != Some(&school) {
            change.schools.push(school);
        }
    }
    for (code, (county, _)) in counties {
        if snapshot.counties.get(&code) != Some(&county) {
            change.counties.push(county);
        }
    }
}
