"""Fills in an evidence workbook with openpyxl, as an office's own script would: by the headings that people see.

usage: fill_evidence.py TEMPLATE OUT [spoil]
"""

import sys

from openpyxl import load_workbook

# What there is of each, the same for every school.
WHOLE = {
    "专任教师人数": 60,
    "在职教师数": 50,
    "班级数": 12,
    "初中以上学生数": 200,
    "应上报月数": 10,
    "应举行培训的学期数": 2,
    "应开展活动的学期数": 2,
    "学科总数": 10,
}


def parts(n):
    """What there is in school n."""
    return {
        "办公电脑台数": n % 61,
        "使用个人空间的在职教师数": n % 51,
        "使用空间的班级数": n % 13,
        "使用实名制空间的初中以上学生数": n,
        "能利用空间学习的初中以上学生数": n,
        "已上报月数": n % 11,
        "举行了培训的学期数": n % 3,
        "开展了活动的学期数": n % 3,
        "开展互动课堂的学科数": n % 11,
        "缺席人次": n % 7,
        "教师空间每周更新条数": 4.5 + n % 2,
        "学生调查结果": ["好", "良", "一般", "差"][n % 4],
        "推广级别(取最高)": ["省", "市", "县", "无"][n % 4],
        "学校网站和栏目": n % 3,
        "酌情记分": None,
        "酌情理由": None,
        "评分人": None,
        "出现重大信息安全问题(含网络安全)": "否",
    }


def answer(n, stage, item, key):
    if key == "材料依据":
        return f"档案 {n}-{item}"
    if key == "附件":
        return f"{n}.pdf\n=照片{n}.jpg"
    no_students = stage in ("小学", "教学点", "幼儿园")
    if no_students and key == "初中以上学生数":
        return "不适用"
    if no_students and "初中以上学生数" in key:
        return None
    if key in WHOLE:
        return WHOLE[key]
    known = parts(n)
    if key in known:
        return known[key]
    if item.startswith("5.") and item != "5.6":
        # Odd schools give counts, even ones a list.
        return n % 5 if n % 2 or item == "5.5" else None
    return "是" if n % 3 else "否"


def main():
    book = load_workbook(sys.argv[1])
    awards = book["名单"]
    row = 2
    for sheet in book.worksheets[1:-2]:
        heads = next(r for r in sheet.iter_rows(max_row=10) if r[0].value == "学校标识码")
        for cells in sheet.iter_rows(min_row=heads[0].row + 1):
            n, stage = int(cells[0].value[-5:]), cells[2].value
            for head, cell in zip(heads[3:], cells[3:]):
                item, key = head.value.split("\n", 1)
                assert not cell.protection.locked, cell.coordinate
                cell.value = answer(n, stage, item, key)
            assert all(cell.protection.locked for cell in cells[:3])
            if sheet.title.startswith("5") and n % 2 == 0:
                for award in (["5.1", f"课件大赛{n}", "省", "一等奖", 1, "2026-05-01"],
                              ["5.1", f"课件大赛{n}", "省", "二等奖", 1, None],
                              ["5.2a", "=通讯", "县", None, None, None]):
                    for column, value in enumerate([cells[0].value] + award, start=1):
                        cell = awards.cell(row=row, column=column, value=value)
                        if isinstance(value, str):
                            # openpyxl takes a leading = for a formula.
                            cell.data_type = "s"
                    row += 1
    if len(sys.argv) > 3:
        first = book.worksheets[1]
        first["D4"] = "=1+1"
        first["D5"] = "也许"
        awards.cell(row=2, column=6, value="张三")
    for sheet in book.worksheets:
        for cells in sheet.iter_rows():
            for cell in cells:
                if isinstance(cell.value, str) and "照片" in cell.value:
                    cell.data_type = "s"
    book.save(sys.argv[2])


main()
