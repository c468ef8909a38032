drill "probe-http" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url     = "ftp://checkout.shop.svc/" # ERROR: Invalid url
    rate    = 1000 # ERROR: Rate out of range
    timeout = "5s" # ERROR: Duration out of range

    expect_body_regex = "ok(" # ERROR: Invalid expect_body_regex
    expect_json       = "ok"  # ERROR: Invalid expect_json
  }

  fault "pod_kill" "checkout" {}
}
