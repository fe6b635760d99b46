//! An EC2 API: moto's, on loopback.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::process::Process;
use crate::{Connection, Dir, Port, Script, binary, wait_until};

/// Longest wait until it answers: Python loads all of moto first, on a machine that may be busy compiling.
const READY: Duration = Duration::from_mins(3);

/// moto's EC2 API as a child process, with no instances at first, killed on drop.
///
/// It checks no credentials, throttles nobody, and pages by reservation: what else a real API does has to be faked elsewhere.
#[derive(Debug)]
pub struct Ec2 {
    port: Port,
    _process: Process,
    _dir: Dir,
}

impl Ec2 {
    /// Starts it and waits until it answers.
    pub async fn start() -> Self {
        let (dir, port) = (Dir::new("moto"), Port::free());
        let args = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let process = Process::spawn("moto", &program(), &args, dir.path());
        let ec2 = Self { port, _process: process, _dir: dir };
        wait_until(READY, "moto to answer", async || {
            ec2.ask("DescribeRegions", &[]).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        ec2
    }

    /// Its URL, for `aws_endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Starts an instance with this private address and these tags, and returns its id. It is running at once.
    pub async fn run_instance(&self, private_ip: &str, tags: &[(&str, &str)]) -> String {
        let mut words = vec![
            ("ImageId".to_owned(), "ami-12345678".to_owned()),
            ("MinCount".to_owned(), "1".to_owned()),
            ("MaxCount".to_owned(), "1".to_owned()),
            ("PrivateIpAddress".to_owned(), private_ip.to_owned()),
        ];
        // Without tags it is refused.
        if !tags.is_empty() {
            words.push(("TagSpecification.1.ResourceType".to_owned(), "instance".to_owned()));
        }
        for (number, (key, value)) in tags.iter().enumerate() {
            let number = number + 1;
            words.push((format!("TagSpecification.1.Tag.{number}.Key"), (*key).to_owned()));
            words.push((format!("TagSpecification.1.Tag.{number}.Value"), (*value).to_owned()));
        }
        let pairs: Vec<_> = words.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answer = self.must("RunInstances", &pairs).await;
        let id = answer.split("<instanceId>").nth(1).and_then(|rest| rest.split('<').next());
        id.unwrap_or_else(|| panic!("moto started an instance without an id: {answer}")).to_owned()
    }

    /// Stops an instance; it stays listed as stopped.
    pub async fn stop_instance(&self, id: &str) {
        self.must("StopInstances", &[("InstanceId.1", id)]).await;
    }

    /// Terminates an instance; it stays listed as terminated.
    pub async fn terminate_instance(&self, id: &str) {
        self.must("TerminateInstances", &[("InstanceId.1", id)]).await;
    }

    /// Tags an instance.
    pub async fn tag_instance(&self, id: &str, key: &str, value: &str) {
        self.must("CreateTags", &[("ResourceId.1", id), ("Tag.1.Key", key), ("Tag.1.Value", value)]).await;
    }

    async fn must(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        let answer = self.ask(action, parameters).await;
        answer.unwrap_or_else(|error| panic!("{action} at moto: {error}"))
    }

    async fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> std::io::Result<String> {
        let mut form = format!("Version=2016-11-15&Action={action}");
        for (key, value) in parameters {
            form.push('&');
            form.push_str(key);
            form.push('=');
            form.extend(value.bytes().map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            }));
        }
        // moto tells services apart by the scope of the signature, and believes any signature.
        let scope = "Credential=x/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=x";
        let authorization = format!("Authorization: AWS4-HMAC-SHA256 {scope}");
        let headers =
            ["Content-Type: application/x-www-form-urlencoded", "Connection: close", &authorization];
        let answer = Connection::open(self.address()).await?.request("POST", "/", &headers, &form).await?;
        if answer.status == 200 { Ok(answer.body) } else { Err(std::io::Error::other(answer.body)) }
    }
}

/// `moto_server`: what the variable `E2E_MOTO_SERVER` says, else that of the virtual environment which `scripts/test` makes.
fn program() -> PathBuf {
    let program = binary::variable("E2E_MOTO_SERVER")
        .map_or_else(|| Script::path(".venv/bin/moto_server"), PathBuf::from);
    assert!(
        program.is_file(),
        "{} is missing: `scripts/test` makes a virtual environment with it",
        program.display()
    );
    program
}
