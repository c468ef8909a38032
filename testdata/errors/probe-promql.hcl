drill "probe-promql" {
  target "deployment" "checkout" { # ERROR: Nothing to measure
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "promql" "errors" { # a number is no client
    url      = "prometheus:9090" # ERROR: Invalid url
    query    = "up"
    interval = "1h" # ERROR: Duration out of range
    timeout  = "1h" # ERROR: Duration out of range
  }

  fault "pod_kill" "checkout" {}
}
