//! What checks are called, and the mends: the only place of these texts. Chinese for the school, English beside it.

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The configuration can be read.
    Configuration,
    /// The journal can be written, and is whole.
    Journal,
    /// The machine is a terminal, and is the one that the identity was given to.
    Identity,
    /// The server's name leads to an address.
    Name,
    /// Something listens there.
    Reach,
    /// It is the county's server.
    Certificate,
    /// It takes this terminal.
    Login,
    /// The time is known.
    Clock,
    /// Input devices may be read.
    Input,
    /// Each source of signs of use.
    Source(&'static str),
    /// A helper speaks in a person's session.
    Helper,
    /// Something sees people's input.
    Use,
    /// The service is installed, enabled and running.
    Service,
}

impl Check {
    /// Its name in JSON.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            Self::Configuration => "configuration",
            Self::Journal => "journal",
            Self::Identity => "identity",
            Self::Name => "name",
            Self::Reach => "reach",
            Self::Certificate => "certificate",
            Self::Login => "login",
            Self::Clock => "clock",
            Self::Input => "input",
            Self::Source(source) => return format!("source:{source}"),
            Self::Helper => "helper",
            Self::Use => "use",
            Self::Service => "service",
        }
        .to_owned()
    }

    /// Its names for people: Chinese, English.
    #[must_use]
    pub fn names(self) -> (String, String) {
        let (zh, en) = match self {
            Self::Configuration => ("配置", "configuration"),
            Self::Journal => ("本地记录", "journal"),
            Self::Identity => ("终端身份", "identity"),
            Self::Name => ("服务器域名", "server's name"),
            Self::Reach => ("网络连接", "network"),
            Self::Certificate => ("服务器证书", "server's certificate"),
            Self::Login => ("服务器登录", "login"),
            Self::Clock => ("时钟", "clock"),
            Self::Input => ("输入设备权限", "input devices"),
            Self::Source(source) => {
                return (format!("感知来源 {source}"), format!("source {source}"));
            }
            Self::Helper => ("桌面助手", "session helper"),
            Self::Use => ("使用感知", "people's input"),
            Self::Service => ("系统服务", "service"),
        };
        (zh.to_owned(), en.to_owned())
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// Correct the file.
    Configuration,
    /// The folder.
    JournalFolder,
    /// Space.
    DiskFull,
    /// Bad files lie beside it.
    JournalBad,
    /// No code.
    NoCode,
    /// Not enrolled yet.
    NotEnrolled,
    /// The code is refused.
    CodeRefused,
    /// A cloned disk.
    ForeignIdentity,
    /// The machine tells nothing of itself.
    NoHardware,
    /// Name resolution.
    Name,
    /// No network.
    Reach,
    /// No authority's file.
    Authority,
    /// Something else answers.
    Impostor,
    /// The handshake breaks off.
    TlsCut,
    /// The key is refused.
    KeyRefused,
    /// The clock.
    Clock,
    /// Input devices.
    Input,
    /// A source is missing.
    Source,
    /// No helper.
    Helper,
    /// Nothing sees input.
    Use,
    /// The service.
    ServiceMissing,
    /// The service does not run.
    ServiceStopped,
}

impl Mend {
    /// All of them, for tests.
    #[cfg(test)]
    pub(super) const ALL: [Self; 22] = [
        Self::Configuration,
        Self::JournalFolder,
        Self::DiskFull,
        Self::JournalBad,
        Self::NoCode,
        Self::NotEnrolled,
        Self::CodeRefused,
        Self::ForeignIdentity,
        Self::NoHardware,
        Self::Name,
        Self::Reach,
        Self::Authority,
        Self::Impostor,
        Self::TlsCut,
        Self::KeyRefused,
        Self::Clock,
        Self::Input,
        Self::Source,
        Self::Helper,
        Self::Use,
        Self::ServiceMissing,
        Self::ServiceStopped,
    ];

    /// Chinese, English.
    #[must_use]
    pub const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Configuration => (
                "按提示修改配置文件,或重新运行 classpulse-agent install。",
                "Correct the configuration file as said, or run `classpulse-agent install` again.",
            ),
            Self::JournalFolder => (
                "请以管理员身份运行本命令;若仍失败,把配置中的 journal 指到可写的分区(还原卡不还原的分区)。",
                "Run this as an administrator; if it still fails, set `journal` to a partition that can be written (and \
                 that no restore card restores).",
            ),
            Self::DiskFull => (
                "磁盘已满:清理磁盘,或把配置中的 journal 指到其他分区。",
                "The disk is full: free some space, or set `journal` to another partition.",
            ),
            Self::JournalBad => (
                "本地记录文件损坏,已另存为 .corrupt,程序会继续工作;若反复出现,请检查硬盘。",
                "A journal file was damaged; it is kept as .corrupt and the agent goes on. If it happens again, check the disk.",
            ),
            Self::NoCode => (
                "本机未注册,也没有注册码:向县电教馆索取本校注册码,运行 classpulse-agent install --code 注册码。",
                "Not enrolled, and there is no code: ask the county's office for your school's code and run \
                 `classpulse-agent install --code CODE`.",
            ),
            Self::NotEnrolled => (
                "本机尚未注册:先解决下面的网络问题,程序会自动注册;也可运行 classpulse-agent enrol 立即注册。",
                "Not enrolled yet: mend the network first, the agent then enrols by itself; or run `classpulse-agent enrol`.",
            ),
            Self::CodeRefused => (
                "注册码无效(输错、作废、用完或过期):向县电教馆索取新的注册码。",
                "The code is refused (mistyped, revoked, used up or out of date): ask the county's office for a new one.",
            ),
            Self::ForeignIdentity => (
                "本机硬盘由其他机器复制而来:重新启动 classpulse-agent 服务,本机会以自己的身份重新注册。",
                "This disk was copied from another machine: restart the classpulse-agent service, and this machine enrols \
                 as itself.",
            ),
            Self::NoHardware => (
                "读不到主板、硬盘和网卡信息:请以管理员身份运行;若仍读不到,复制的镜像将无法分辨,请勿克隆本机硬盘。",
                "Neither board nor disk nor network adapter can be told: run this as an administrator. If that does not \
                 help, don't copy this machine's disk to others.",
            ),
            Self::Name => (
                "域名无法解析:检查配置中的 server 是否写对、DNS 是否可用。",
                "The name leads nowhere: check `server` in the configuration, and the DNS server.",
            ),
            Self::Reach => (
                "连不上服务器:检查网线和网络,请网络管理员放行该地址和端口(出方向 TCP)。",
                "The server can't be reached: check cable and network; ask the network's administrator to let this address \
                 and port through (outgoing TCP).",
            ),
            Self::Authority => (
                "证书文件无法使用:从县电教馆取得 CA 证书(PEM 格式),运行 classpulse-agent install --ca 文件。",
                "The certificate file can't be used: get the county's CA (PEM) and run `classpulse-agent install --ca FILE`.",
            ),
            Self::Impostor => (
                "应答的不是县里的服务器:检查 hosts 文件和 DNS 是否被改动、网络是否要求先登录,并核对 CA 证书;记录不会发给它,也不会丢失。",
                "What answers is not the county's server: check the hosts file and DNS for changes, whether the network wants \
                 a login first, and the CA. Nothing is sent to it, and nothing is lost.",
            ),
            Self::TlsCut => (
                "加密握手中断:该端口可能不是 TLS 端口,或被防火墙拦截;核对 server 的端口(通常为 8883)。",
                "The TLS handshake breaks off: this may be no TLS port, or a firewall cuts it; check the port (mostly 8883).",
            ),
            Self::KeyRefused => (
                "服务器拒绝本机密钥:若有注册码,程序会在约十分钟后自动重新注册;也可运行 classpulse-agent enrol。",
                "The server refuses this terminal's key: with a code the agent enrols again within some ten minutes; or run \
                 `classpulse-agent enrol`.",
            ),
            Self::Clock => (
                "时间未校准:连上服务器后会自动校准;若每次开机时间都不对,请更换主板电池。",
                "Nobody vouches for the time: the server does once it is reached. If it is wrong at each start, change the \
                 board's battery.",
            ),
            Self::Input => (
                "无权读取输入设备:把服务用户加入 input 组后重启服务(安装程序会自动设置)。",
                "Input devices may not be read: add the service's user to the group `input` and restart it (the installer \
                 does so).",
            ),
            Self::Source => (
                "本机没有该来源,其余来源照常工作;若不该缺少,请检查驱动和权限,或从配置 sources 中去掉。",
                "This machine does not have this source; the others go on. If it should, check drivers and permissions, or \
                 leave it out of `sources`.",
            ),
            Self::Helper => (
                "没有桌面助手在工作:请有人登录桌面;若已登录,注销后重新登录,或重新安装。",
                "No session helper speaks: somebody has to be logged on. If somebody is, log off and on again, or install again.",
            ),
            Self::Use => (
                "没有来源能感知键盘、鼠标和触摸,使用分钟会一直为 0:Linux 检查输入设备权限,Windows 登录桌面;sources 要有 evdev 或 session。",
                "Nothing sees keys, mouse or touch: Linux, devices' permissions; Windows, log on; `sources`, evdev or session.",
            ),
            Self::ServiceMissing => (
                "服务未安装或未设为开机启动:以管理员身份运行 classpulse-agent install。",
                "The service is not installed or not enabled: run `classpulse-agent install` as an administrator.",
            ),
            Self::ServiceStopped => (
                "服务没有运行:Linux 用 systemctl start classpulse-agent,Windows 用 sc start ClasspulseAgent。",
                "The service does not run: `systemctl start classpulse-agent`, on Windows `sc start ClasspulseAgent`.",
            ),
        }
    }
}
