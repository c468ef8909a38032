drill "nothing-to-measure" {
  target "deployment" "checkout" { # ERROR: Nothing to measure
    namespace = "shop"
    selector  = "app=checkout"
  }

  fault "pod_kill" "checkout" {}
}
