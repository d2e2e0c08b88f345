use super::*;

fn redirect(status: u16, location: &'static str) -> Option<Address> {
    let response =
        Response::builder().status(status).header(LOCATION, location).body(()).expect("a response");
    redirect_target(&response.into_parts().0)
}

#[test]
fn follows_what_mesos_writes() {
    let target = redirect(307, "//127.0.0.1:5163/master/api/v1/scheduler");
    assert_eq!(target, Some(Address::new("127.0.0.1", 5163)));
    assert_eq!(redirect(307, "//leader.example:5050"), Some(Address::new("leader.example", 5050)));
    assert_eq!(redirect(307, "//[::1]:5050/x?y#z"), Some(Address::new("::1", 5050)));
    assert_eq!(redirect(302, "http://leader/x"), Some(Address::new("leader", 80)));
}

#[test]
fn leads_nowhere_otherwise() {
    assert_eq!(redirect(200, "//127.0.0.1:5050/x"), None);
    for location in ["", "/", "//", "///x", "/path", "https://a:1/", "//:80/x", "//a b/"] {
        assert_eq!(redirect(307, location), None, "{location:?}");
    }
}
