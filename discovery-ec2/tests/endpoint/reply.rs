//! What EC2 writes.

use std::fmt::Write as _;

use super::Instance;

pub(super) fn write_instance(xml: &mut String, instance: &Instance) {
    let Instance { id, state, private_ip, public_ip, private_dns, tags } = instance;
    write!(
        xml,
        "<item><reservationId>r-{id}</reservationId><ownerId>123456789012</ownerId><groupSet/><instancesSet><item>\
         <instanceId>{id}</instanceId><imageId>ami-1</imageId><instanceState><code>16</code><name>{state}</name>\
         </instanceState><privateDnsName>{private_dns}</privateDnsName><dnsName/><instanceType>m5.large</instanceType>\
         <launchTime>2026-01-02T03:04:05.000Z</launchTime><placement><availabilityZone>us-east-1a</availabilityZone>\
         <tenancy>default</tenancy></placement><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId>"
    )
    .unwrap();
    if let Some(ip) = private_ip {
        write!(xml, "<privateIpAddress>{ip}</privateIpAddress>").unwrap();
    }
    if let Some(ip) = public_ip {
        write!(xml, "<ipAddress>{ip}</ipAddress>").unwrap();
    }
    xml.push_str("<tagSet>");
    for (name, value) in tags {
        write!(xml, "<item><key>{}</key><value>{}</value></item>", escaped(name), escaped(value)).unwrap();
    }
    xml.push_str("</tagSet></item></instancesSet></item>");
}

pub(super) fn error(status: u16, code: &str, message: &str) -> (u16, String) {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>\
         </Error></Errors><RequestID>r-1</RequestID></Response>"
    );
    (status, body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
