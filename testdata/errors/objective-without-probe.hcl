drill "objective-without-probe" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/"
  }

  fault "pod_kill" "checkout" {}

  objectives {
    recovery_time               = "5s"
    read_outage                 = "0s" # ERROR: Objective without a probe
    staleness                   = "5s" # ERROR: Objective without a probe
    monotonic_read_violations   = 0    # ERROR: Objective without a probe
    read_your_writes_violations = 0    # ERROR: Objective without a probe
    sum_violations              = 0    # ERROR: Objective without a probe
    register_violations         = 0    # ERROR: Objective without a probe
  }
}
