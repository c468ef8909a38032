drill "objective-of-service-without-probe" {
  target "deployment" "checkout" { # ERROR: Nothing to measure
    namespace = "shop"
    selector  = "app=checkout"
  }

  fault "pod_kill" "checkout" {}

  objectives {
    read_outage = "0s" # ERROR: Objective without a probe
  }
}
