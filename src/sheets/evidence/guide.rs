//! 说明: how the workbook is filled in, and how the rubric is read.

use rust_xlsxwriter::{Worksheet, XlsxError};

use super::list;
use crate::{
    domain::rubric::{Rubric, rule::Rule},
    sheets::style,
};

/// Name of the sheet.
pub(super) const SHEET: &str = "说明";

/// Width of its text.
const WIDTH: f64 = 100.0;

/// How it is filled in.
const HOW: [&str; 12] = [
    "每个一级指标一张表,一行一所学校。灰色格(学校标识码、学校、学段和表头)不要改动;其余的格可以填写。各表未设密码,需要时可撤销工作表保护。",
    "列按第三行的列名(条目编号和问题)识别,行按学校标识码识别:列和行的次序可以变动,列名和标识码不能改。",
    "“是/否”和等级从下拉列表中选。人数、台数、次数填不小于 0 的整数;其他数字最多两位小数。数字格不写单位。",
    "没有初中以上学生的学校(小学、教学点等)在允许的格中选“不适用”,不填 0。",
    "酌情计分的条目:条件达到时不填酌情三格;没有达到时由评估人员填“酌情记分”,并写明“酌情理由”和“评分人”。",
    "每条可写“材料依据”(来自哪里)和“附件”(文件名或档案编号);多个附件用换行(Alt+Enter)或分号隔开。",
    "奖励加分可以填数量,也可以在“名单”表中一行填一个奖项或一篇报道,由系统计数;同一学校的同一条目只用一种。",
    "“名单”表的获奖人序号:同一竞赛中的同一人用同一序号(从 1 起),只计其最高奖。不写姓名。不按人次计的条目不填序号。",
    "没有材料的格留空:留空的条目记 0 分,并在评分表中列为缺少材料。要删除已导入的内容,请导出最新的材料表,在表中清空后再导入。",
    "可以只导入其中几张表、几所学校或几列,其余不受影响。最新的“名单”表与某条目所在的表一起导入时,名单中没有的学校视为没有名单。",
    "导入时先检查全部内容:有任何错误,就逐一列出所在的表、行、列,一项也不保存;改好后重新导入即可。没有改动的内容不会重写,填报人和时间保持不变。",
    "本表导出之后,如有他人导入过材料,本表就不是最新的(空表和单独抄出的表也一样):其中的空格和“名单”缺少的行不删除任何内容,与已有内容不同的格以本表为准,并逐格列出原有内容,请核对。",
];

pub(super) fn write(sheet: &mut Worksheet, rubric: &Rubric) -> Result<(), XlsxError> {
    sheet.set_name(SHEET)?;
    sheet.set_column_width(0, 8)?.set_column_width(1, WIDTH)?;
    sheet.set_screen_gridlines(false);
    let mut page = Page { sheet, row: 0 };
    page.sheet.set_row_height(0, 30)?;
    page.sheet
        .merge_range(0, 0, 0, 1, &rubric.title, &style::title())?;
    page.row = 2;
    page.head("填写说明")?;
    for (number, line) in (1..).zip(HOW) {
        page.line(&format!("{number}"), line)?;
    }
    let measured: Vec<&str> = rubric
        .items()
        .filter(|item| matches!(item.rule, Rule::CountyRatio { .. }))
        .map(|item| item.id.as_str())
        .collect();
    if !measured.is_empty() {
        let what = format!("条目 {} 由后台监测系统计算,不用填写。", measured.join("、"));
        page.line(&format!("{}", HOW.len() + 1), &what)?;
    }
    let listed = list::listed(rubric);
    if !listed.is_empty() {
        page.row += 1;
        page.head("可用名单填写的条目")?;
        for one in listed {
            page.line(&one.item.id, &one.item.text)?;
        }
    }
    if !rubric.readings.is_empty() {
        page.row += 1;
        page.head("细则的解读")?;
        for reading in &rubric.readings {
            page.line(&reading.id, &reading.text)?;
        }
    }
    page.sheet
        .set_paper_size(9)
        .set_portrait()
        .set_print_fit_to_pages(1, 0);
    page.sheet.protect();
    Ok(())
}

struct Page<'a> {
    sheet: &'a mut Worksheet,
    row: u32,
}

impl Page<'_> {
    fn head(&mut self, text: &str) -> Result<(), XlsxError> {
        let format = style::plain().set_bold().set_font_size(12);
        self.sheet
            .merge_range(self.row, 0, self.row, 1, text, &format)?;
        self.sheet.set_row_height(self.row, 20)?;
        self.row += 1;
        Ok(())
    }

    fn line(&mut self, number: &str, text: &str) -> Result<(), XlsxError> {
        let (first, second) = (style::centred(), style::text());
        self.sheet
            .write_string_with_format(self.row, 0, number, &first)?
            .write_string_with_format(self.row, 1, text, &second)?;
        let height = style::height(text, WIDTH, style::SIZE);
        self.sheet.set_row_height(self.row, height)?;
        self.row += 1;
        Ok(())
    }
}
