drill "probe-port-out-of-range" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "tcp" "checkout" {
    address = "checkout.shop.svc:70000" # ERROR: Invalid address
  }

  fault "pod_kill" "checkout" {}
}
