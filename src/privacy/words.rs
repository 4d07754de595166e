//! The sentences of the privacy statement: one for each message, field, table and column. Chinese, for schools.
//!
//! Not responsible for which of them there are: the contract and the schema say that.

/// What the statement begins with.
pub(super) const OPENING: [&str; 3] = [
    "本说明由程序按自身的通信协议和数据库结构生成,所列即全部:协议和数据库中没有列出的内容,程序无法发送、也无处保存。",
    "课脉只统计班班通等教室终端的开机和使用时间,用于计算学校平均使用时间和“后台监测”得分。",
    "统计以分钟为单位:某一分钟内终端是否开机、是否在使用。它不知道是谁在使用,也不知道在使用什么。",
];

/// What is never collected.
pub(super) const NEVER: [&str; 6] = [
    "终端不收集任何人的姓名、账号、照片、声音或其他身份信息(教师、学生、家长均不收集);",
    "不收集屏幕内容、窗口标题、程序名称、文件名、网页地址;",
    "不收集按键和鼠标的内容:只看最近一次操作距今多久,且只在终端内部判断,不发送;",
    "不录音、不录像:只看扬声器是否正在播放,不听内容;",
    "不收集位置和网络流量;网卡、硬盘、主板的序列号只发送摘要,不发送序列号本身,只用于识别同一台机器;",
    "不向任何第三方发送数据:终端只与本区县教育部门的服务器通信。",
];

/// A message that terminals send.
pub(super) fn message(name: &str) -> Option<&'static str> {
    MESSAGES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, said)| *said)
}

/// A field of such a message, as `Message.field`.
pub(super) fn field(name: &str) -> Option<&'static str> {
    FIELDS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, said)| *said)
}

/// A table: what it is, how long it is kept.
pub(super) fn table(name: &str) -> Option<(&'static str, &'static str)> {
    TABLES
        .iter()
        .find(|(known, _, _)| *known == name)
        .map(|(_, said, kept)| (*said, *kept))
}

/// A column: of this table, or of any table where its name means the same.
pub(super) fn column(table: &str, name: &str) -> Option<&'static str> {
    let own = COLUMNS
        .iter()
        .find(|(of, known, _)| *of == Some(table) && *known == name);
    let any = || {
        COLUMNS
            .iter()
            .find(|(of, known, _)| of.is_none() && *known == name)
    };
    own.or_else(any).map(|(_, _, said)| *said)
}

/// All fields that have a sentence.
#[cfg(test)]
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// All columns that have a sentence.
#[cfg(test)]
pub(super) fn columns() -> impl Iterator<Item = (Option<&'static str>, &'static str)> {
    COLUMNS.iter().map(|(of, name, _)| (*of, *name))
}

const MESSAGES: &[(&str, &str)] = &[
    ("Report", "使用情况报告"),
    ("AgentFacts", "终端程序自身情况"),
    ("Session", "一段开机或使用时间"),
    ("Signal", "异常信号"),
    ("State", "在线状态"),
    ("EnrolRequest", "注册申请(安装时一次)"),
    ("Hardware", "机器识别摘要"),
    ("Renewal", "更换密钥的申请"),
];

const FIELDS: &[(&str, &str)] = &[
    ("Report.boot_id", "本次开机的随机编号,每次开机都不同"),
    ("Report.sequence", "报告的序号,防止遗漏和重复"),
    ("Report.sent_at", "发送时间"),
    ("Report.clock", "终端时钟是否可信"),
    ("Report.facts", "终端程序自身情况,见下"),
    ("Report.sessions", "开机和使用的时间段,见下"),
    ("Report.terminal", "终端编号"),
    ("Report.quiet", "是否与上次相比没有变化"),
    ("Report.signals", "异常信号,见下"),
    ("Report.history", "是否为安装之前的开机记录"),
    ("Report.over", "本次开机是否已经结束"),
    ("AgentFacts.version", "终端程序的版本"),
    ("AgentFacts.os", "操作系统的名称和版本"),
    ("AgentFacts.booted_at", "开机时间"),
    (
        "AgentFacts.missing_sources",
        "本机缺少的感知手段(如无声卡),用于判断数据是否完整",
    ),
    ("Session.kind", "种类:开机或使用"),
    ("Session.number", "本次开机中的序号"),
    ("Session.start", "开始时间"),
    ("Session.end", "结束时间"),
    ("Session.open", "是否仍在继续"),
    (
        "Signal.kind",
        "种类:如终端程序中断、桌面感知无应答、时钟被改、服务器被冒充",
    ),
    ("Signal.number", "本次开机中的序号"),
    ("Signal.at", "发生时间"),
    ("Signal.seconds", "持续或相差的秒数"),
    ("State.online", "是否在线"),
    ("State.since", "从何时起"),
    ("EnrolRequest.code", "学校的注册码"),
    ("EnrolRequest.hardware", "机器识别摘要,见下"),
    ("EnrolRequest.facts", "终端程序自身情况"),
    ("EnrolRequest.room", "教室名称,由安装人员填写,可不填"),
    ("EnrolRequest.renew", "更换密钥的申请,见下"),
    ("Renewal.terminal", "终端编号"),
    ("Renewal.key", "终端现用的密钥"),
    ("Hardware.board", "主板序列号的摘要,不含序列号本身"),
    ("Hardware.disk", "系统硬盘序列号的摘要,不含序列号本身"),
    ("Hardware.macs", "网卡地址的摘要,不含地址本身"),
];

/// How long what is no minutes is kept.
const STAYS: &str = "与系统同在";
const WITH_RUN: &str = "作为考核依据长期保存";
const WITH_MINUTES: &str = "按“保存多久”一节";

const TABLES: &[(&str, &str, &str)] = &[
    ("migration", "数据库结构的版本", STAYS),
    ("meta", "系统内部计数", STAYS),
    ("county", "区县", STAYS),
    ("school", "学校", STAYS),
    ("terminal", "终端", STAYS),
    ("placement", "终端所在的学校和教室", STAYS),
    ("terminal_day", "终端每天的分钟", WITH_MINUTES),
    (
        "school_day",
        "学校每天的合计",
        "长期保存;其中没有单台终端的数据",
    ),
    ("dirty_school_day", "待重新合计的学校和日期", "合计后即删除"),
    ("calendar", "校历", STAYS),
    ("quarantine", "未被采信的报告", "处理或过期后删除"),
    ("evaluated", "已定稿的考核时段", STAYS),
    ("code", "学校的注册码(只存摘要)", STAYS),
    ("identity", "终端的密钥(只存摘要)", STAYS),
    ("hardware_mark", "机器识别摘要", STAYS),
    ("incident", "终端的异常信号", STAYS),
    ("rubric", "考核评估细则", WITH_RUN),
    ("run", "一次考核", WITH_RUN),
    ("evidence", "考核材料", WITH_RUN),
    ("exclusion", "考核中不计的终端和日期", WITH_RUN),
    ("run_part", "考核定稿时的全部数据", WITH_RUN),
    ("account", "管理人员的操作账号(只有登录名和角色)", STAYS),
    ("session", "管理人员的登录状态", "退出或超时后失效"),
    ("token", "其他系统的访问凭据(只存摘要)", STAYS),
    ("link", "一次性设置链接(只存摘要)", "使用或到期后失效"),
    (
        "audit",
        "操作记录:谁在何时改动或导出了什么",
        "至少六个月;只增不改",
    ),
];

/// Table (none: the same in all), column, meaning.
const COLUMNS: &[(Option<&str>, &str, &str)] = &[
    (None, "id", "内部编号"),
    (None, "number", "序号"),
    (None, "name", "名称"),
    (None, "county", "区县"),
    (None, "school", "学校"),
    (None, "terminal", "终端"),
    (None, "day", "日期"),
    (None, "first_day", "第一天"),
    (None, "last_day", "最后一天"),
    (None, "code", "代码"),
    (None, "version", "版本"),
    (None, "kind", "种类"),
    (None, "text", "全文"),
    (None, "stored_at", "存入时间"),
    (None, "reason", "原因"),
    (None, "created_at", "建立时间"),
    (None, "revoked", "是否已作废"),
    (None, "boot_id", "最近一次开机的随机编号"),
    (None, "last_seen", "当天最后一次使用记录的时间"),
    (None, "digest", "内容的校验摘要"),
    (None, "run", "所属考核"),
    (None, "key", "标识"),
    (Some("migration"), "program", "程序版本"),
    (Some("meta"), "registry_version", "名册的修改次数"),
    (Some("meta"), "kept_from", "分钟记录保存的起始日"),
    (Some("meta"), "identity_version", "密钥的修改次数"),
    (Some("meta"), "last_run", "最近一次考核的编号"),
    (Some("school"), "code", "学校标识码"),
    (Some("school"), "stage", "学段"),
    (Some("school"), "township", "乡镇"),
    (Some("terminal"), "name", "终端编号"),
    (Some("terminal"), "first_heard", "首次报告的时间"),
    (Some("terminal"), "last_heard", "最近一次报告的时间"),
    (Some("terminal"), "clock_offset", "终端时钟的偏差"),
    (Some("terminal"), "version", "终端程序的版本"),
    (Some("terminal"), "os", "操作系统的名称和版本"),
    (Some("terminal"), "sequence", "最近一次报告的序号"),
    (Some("terminal"), "before_id", "前一次开机的随机编号"),
    (Some("terminal"), "before_sequence", "前一次开机的报告序号"),
    (
        Some("terminal"),
        "turns_since",
        "两次开机交替出现的起始时间",
    ),
    (
        Some("terminal"),
        "turns",
        "两次开机交替出现的次数(用于发现克隆)",
    ),
    (Some("placement"), "from_day", "启用日期"),
    (Some("placement"), "to_day", "停用日期"),
    (Some("placement"), "room", "教室名称"),
    (
        Some("terminal_day"),
        "powered",
        "当天每一分钟是否开机(1,440 个是或否)",
    ),
    (
        Some("terminal_day"),
        "used",
        "当天每一分钟是否在使用(1,440 个是或否)",
    ),
    (Some("school_day"), "counted", "计入的终端数"),
    (Some("school_day"), "powered", "开机分钟合计"),
    (Some("school_day"), "used", "使用分钟合计"),
    (Some("school_day"), "lessons_taught", "使用终端的课时数"),
    (Some("school_day"), "reporting", "有报告的终端数"),
    (Some("quarantine"), "terminal", "报告所称的终端编号"),
    (Some("quarantine"), "fingerprint", "报告的摘要"),
    (Some("quarantine"), "detail", "具体说明"),
    (
        Some("quarantine"),
        "payload",
        "报告原文,字段同“终端发送什么”",
    ),
    (Some("quarantine"), "first_at", "首次收到的时间"),
    (Some("quarantine"), "last_at", "最近收到的时间"),
    (Some("quarantine"), "received_day", "收到的日期"),
    (Some("quarantine"), "times", "收到的次数"),
    (Some("quarantine"), "waiting", "是否待处理"),
    (Some("code"), "hash", "注册码的摘要"),
    (Some("code"), "uses", "可用次数"),
    (Some("code"), "used", "已用次数"),
    (Some("identity"), "key", "密钥的摘要"),
    (Some("identity"), "enrolled_at", "注册时间"),
    (Some("identity"), "code", "注册时所用的注册码"),
    (Some("identity"), "changed_at", "密钥最近变更的时间"),
    (Some("identity"), "renew", "是否等待终端更换密钥"),
    (Some("identity"), "next_key", "新密钥的摘要,首次使用后生效"),
    (
        Some("identity"),
        "salted",
        "密钥的加盐摘要,供外部消息服务器核对",
    ),
    (Some("identity"), "next_salted", "新密钥的加盐摘要"),
    (
        Some("hardware_mark"),
        "mark",
        "主板、硬盘或网卡序列号的摘要,不含序列号本身",
    ),
    (Some("incident"), "at", "发生时间"),
    (Some("incident"), "seconds", "持续或相差的秒数"),
    (Some("incident"), "received_at", "收到时间"),
    (Some("run"), "rubric", "所用的细则"),
    (Some("run"), "supersedes", "所更正的考核"),
    (Some("run"), "minutes_from", "分钟数据取自哪次考核"),
    (Some("run"), "created_by", "建立人(操作账号)"),
    (Some("run"), "revision", "修订号"),
    (Some("run"), "frozen_by", "定稿人(操作账号)"),
    (Some("run"), "frozen_at", "定稿时间"),
    (Some("run"), "note", "备注"),
    (Some("evidence"), "item", "条目"),
    (
        Some("evidence"),
        "content",
        "答案、材料依据、填报账号和时间",
    ),
    (Some("exclusion"), "excluded_by", "操作账号"),
    (Some("exclusion"), "excluded_at", "操作时间"),
    (None, "login", "登录名"),
    (None, "hash", "摘要"),
    (None, "scope", "管理范围"),
    (None, "role", "角色"),
    (None, "expires_at", "到期时间"),
    (Some("meta"), "audit_number", "操作记录的条数"),
    (Some("meta"), "audit_hash", "操作记录末尾的校验摘要"),
    (Some("account"), "password", "密码的加盐摘要(argon2)"),
    (Some("account"), "password_at", "密码的设置时间"),
    (Some("account"), "locked", "是否停用"),
    (Some("account"), "failures", "连续登录失败的次数"),
    (Some("account"), "failed_at", "最近一次登录失败的时间"),
    (Some("account"), "login_at", "最近一次登录的时间"),
    (Some("account"), "revision", "修订号"),
    (Some("session"), "seen_at", "最近一次操作的时间"),
    (Some("token"), "name", "用途"),
    (Some("token"), "used_at", "最近一次使用的时间"),
    (Some("audit"), "at", "时间"),
    (Some("audit"), "who", "操作账号"),
    (Some("audit"), "origin", "来源地址"),
    (Some("audit"), "action", "操作"),
    (Some("audit"), "target", "对象"),
    (Some("audit"), "before", "改动前"),
    (Some("audit"), "after", "改动后"),
    (Some("audit"), "hash", "与前一条相连的校验摘要"),
    (Some("run_part"), "bytes", "原长"),
    (Some("run_part"), "deflated", "压缩后的内容"),
];
