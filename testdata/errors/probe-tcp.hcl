drill "probe-tcp" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "tcp" "checkout" {
    address = "checkout.shop.svc" # ERROR: Invalid address
  }

  fault "pod_kill" "checkout" {}
}
