drill "probe-kubernetes" {
  target "deployment" "checkout" { # ERROR: Nothing to measure
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "kubernetes" "endpoints" { # a number is no client
    namespace = "shop"
    service   = "" # ERROR: Empty service
    rate      = 100 # ERROR: Rate out of range
  }

  fault "pod_kill" "checkout" {}
}
