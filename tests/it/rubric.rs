//! The published rubric and the one in the data file are the same text, figure by figure.
//!
//! `rubric/published.txt` is the table of the notice 逊克县中小学教育信息化管理与应用工作考核评估细则(试行) of 2018-10-24, as its
//! page gives it once the table is flattened: separators between figures are lost there.

use classpulse::domain::rubric::{DEFAULT, Group, Indicator, Rubric};

const PUBLISHED: &str = include_str!("rubric/published.txt");

/// Without what flattening lost or broke: blanks and separators.
fn bare(text: &str) -> String {
    let kept = |c: &char| !c.is_whitespace() && !"、;;。".contains(*c);
    text.chars().filter(kept).collect()
}

/// An indicator as the page writes it. Items are numbered where there are several.
fn indicator(one: &Indicator) -> String {
    // The label of 4.1 is lost on the page (R4).
    let name = if one.id == "4.1" { "" } else { &one.name };
    let mut text = format!("{name}{}", one.weight.short());
    let mut last = String::new();
    for item in &one.items {
        let number: String = item.id.rsplit('.').next().unwrap().to_owned();
        let number = number.trim_end_matches(|c: char| c.is_alphabetic());
        if one.items.len() > 1 && number != last {
            text.push_str(number);
        }
        number.clone_into(&mut last);
        text.push_str(&item.text);
    }
    text
}

fn group(one: &Group) -> String {
    let cap = if one.capped { "分封顶" } else { "" };
    let mut text = format!("{}({}{cap})", one.name, one.weight.short());
    let mut section = "";
    for each in &one.indicators {
        if each.section != section {
            section = &each.section;
            text.push_str(section);
        }
        text.push_str(&indicator(each));
    }
    text
}

#[test]
fn the_data_file_says_what_was_published_figure_by_figure() {
    let rubric = Rubric::parse(DEFAULT).unwrap();
    let groups: Vec<String> = rubric.groups.iter().map(group).collect();
    let rendered = format!(
        "一级指标二级指标权重计分{}合计{}",
        groups.concat(),
        rubric.total.short()
    );
    let (rendered, published) = (bare(&rendered), bare(PUBLISHED));
    let same = rendered
        .chars()
        .zip(published.chars())
        .take_while(|(ours, theirs)| ours == theirs)
        .count();
    let around = |text: &str| -> String {
        text.chars()
            .skip(same.saturating_sub(20))
            .take(60)
            .collect()
    };
    assert_eq!(
        rendered,
        published,
        "they part at character {same}:\n  ours …{}\ntheirs …{}",
        around(&rendered),
        around(&published)
    );
}

#[test]
fn every_figure_of_the_grids_is_the_published_one_with_its_separators() {
    // The flattened figures, split as readings R8 to R10 say, and the points of the data file.
    let rubric = Rubric::parse(DEFAULT).unwrap();
    let points = |id: &str| -> Vec<String> {
        let classpulse::domain::rubric::Rule::Counts { cells, .. } = &rubric.item(id).unwrap().rule
        else {
            panic!("{id} counts");
        };
        cells.iter().map(|cell| cell.points.short()).collect()
    };
    for (id, flat) in [
        ("5.1", "21.511.510.810.80.50.80.50.3"),
        ("5.2a", "10.80.50.3"),
        ("5.2b", "10.50.2"),
        ("5.3", "10.5"),
        ("5.4", "10.80.5"),
        ("5.5", "1"),
    ] {
        assert_eq!(points(id).concat(), flat, "{id}");
        let text = bare(&rubric.item(id).unwrap().text);
        let figures = text.replace("分分别加", "").replace("加1分", "加1");
        assert!(figures.contains(flat), "{id}: {figures}");
    }
}
