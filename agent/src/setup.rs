//! `install` and `uninstall`: what was done in lines, what went wrong in English and Chinese. Exit codes: 0 done; 1
//! failed, and may be tried again; 2 wrong options or configuration, and nothing was touched. Not responsible for doing
//! it.

use std::process::ExitCode;

use classpulse_agent::{
    chain::chain,
    install::{self, InstallError, InstallOptions, UninstallOptions},
};

pub(crate) fn install(options: &InstallOptions) -> ExitCode {
    tell(install::install(options))
}

pub(crate) fn uninstall(options: &UninstallOptions) -> ExitCode {
    tell(install::uninstall(options))
}

fn tell(done: Result<Vec<String>, InstallError>) -> ExitCode {
    match done {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("classpulse-agent: {}", chain(&error));
            eprintln!("{}", in_chinese(&error));
            match error {
                InstallError::Option { .. } | InstallError::Configuration(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// For a school's technician; the details are in the line before.
fn in_chinese(error: &InstallError) -> String {
    match error {
        InstallError::NotAllowed(_) => "未安装:需要管理员权限".to_owned(),
        InstallError::Packaged(command) => format!("本机是用软件包安装的,请执行:{command}"),
        InstallError::Option { key, .. } => format!("未安装:参数或配置 {key} 有误,未作任何改动"),
        InstallError::Configuration(_) => "未安装:配置不成立,未作任何改动".to_owned(),
        InstallError::File { path, .. } => {
            format!("未完成:文件或文件夹 {} 操作失败,可重试", path.display())
        }
        InstallError::Service { .. } => "未完成:系统服务操作失败,可重试".to_owned(),
    }
}
