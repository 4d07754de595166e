//! How our own listeners are secured, and by which names they are asked: the keys `tls.*` and `api.*`.

use std::net::SocketAddr;

use super::{
    BrokerConfig, Mistake,
    values::{Values, mistake},
};
use crate::tls::ServerTls;

impl Values {
    /// Names without ports, as a browser says them.
    pub(super) fn names(&self, mistakes: &mut Vec<Mistake>) -> Option<Vec<String>> {
        let said = self.get("api.names").split(',').map(str::trim);
        let names: Vec<_> = said
            .filter(|name| !name.is_empty())
            .map(str::to_lowercase)
            .collect();
        let fits = |name: &String| {
            let mut characters = name.chars();
            characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        };
        if !names.iter().all(fits) {
            self.wrong("api.names", mistakes);
            return None;
        }
        Some(names)
    }

    /// How our own listeners are secured. Beyond this machine they are, or the configuration says that they are not.
    pub(super) fn listeners(
        &self,
        api: Option<SocketAddr>,
        broker: Option<&BrokerConfig>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<ServerTls> {
        let files = (self.file("tls.certificate_file"), self.file("tls.key_file"));
        let places = [("loopback", false), ("anywhere", true)];
        let anywhere = self.one_of("tls.plain", &places, mistakes).unwrap_or(true);
        match files {
            (Some(certificate_file), Some(key_file)) => {
                return Some(ServerTls {
                    certificate_file,
                    key_file,
                });
            }
            (None, None) => {}
            _ => mistake(
                mistakes,
                "tls.certificate_file",
                "a certificate needs a key_file, and the other way round",
            ),
        }
        let embedded = match broker {
            Some(BrokerConfig::Embedded(address)) => Some(*address),
            _ => None,
        };
        for (key, address) in [("api.listen", api), ("broker.listen", embedded)] {
            if let Some(address) = address.filter(|at| !anywhere && !at.ip().is_loopback()) {
                mistake(
                    mistakes,
                    key,
                    format!(
                        "{address} is beyond this machine, and plain text there can be read and forged: set \
                         tls.certificate_file and tls.key_file (`classpulse tls init` makes them), or say \
                         tls.plain = \"anywhere\""
                    ),
                );
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::tests::nothing;
    use crate::config::Config;

    #[test]
    fn names_are_names_alone() {
        let with = |names: &str| Config::parse(&format!("[api]\nnames = \"{names}\""), nothing);
        assert_eq!(with("").unwrap().names, [""; 0]);
        let names = with(" Classpulse.xunke.example, class-1 ,").unwrap().names;
        assert_eq!(names, ["classpulse.xunke.example", "class-1"]);
        for wrong in [
            "http://a.example",
            "a.example:50051",
            "*.example",
            "学校.example",
        ] {
            assert_eq!(with(wrong).unwrap_err()[0].key, "api.names", "{wrong}");
        }
    }

    #[test]
    fn plain_text_stays_on_this_machine_unless_it_is_said() {
        let beyond = "[api]\nlisten = \"0.0.0.0:50051\"\n[broker]\nlisten = \"[::]:1883\"\n";
        let mistakes = Config::parse(beyond, nothing).unwrap_err();
        let keys: Vec<_> = mistakes.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["api.listen", "broker.listen"]);
        for part in ["tls.certificate_file", "tls init", "tls.plain"] {
            assert!(mistakes[0].problem.contains(part), "{mistakes:?}");
        }
        let said = format!("{beyond}[tls]\nplain = \"anywhere\"");
        assert!(Config::parse(&said, nothing).unwrap().tls.is_none());
        let secured = format!("{beyond}[tls]\ncertificate_file = \"c\"\nkey_file = \"k\"");
        let tls = Config::parse(&secured, nothing).unwrap().tls;
        assert_eq!(tls.unwrap().key_file, PathBuf::from("k"));
        for (text, key) in [
            ("[tls]\nkey_file = \"k\"", "tls.certificate_file"),
            ("[tls]\nplain = \"no\"", "tls.plain"),
        ] {
            assert_eq!(Config::parse(text, nothing).unwrap_err()[0].key, key);
        }
        // A terminal's broker elsewhere is not ours to secure.
        let outside = "[broker]\nkind = \"outside\"\nlisten = \"0.0.0.0:1883\"";
        assert!(Config::parse(outside, nothing).is_ok());
    }
}
