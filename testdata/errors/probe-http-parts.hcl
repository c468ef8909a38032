drill "probe-http-parts" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url    = "http://checkout.shop.svc/"
    method = "HEAD"
    headers = {
      Accept = "text/plain"
      "X Y"  = "1" # ERROR: Invalid header
    }
    expect_status = [
      200,
      "204",
      999, # ERROR: Invalid expect_status
    ]
    expect_body = "ok" # ERROR: Body of a HEAD request
    expect_json = { # ERROR: Body of a HEAD request
      "status" = "ok"
      "list"   = ["a"] # ERROR: Invalid expect_json
    }
  }

  fault "pod_kill" "checkout" {}
}
