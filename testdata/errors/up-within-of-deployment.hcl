drill "up-within-of-deployment" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
    up_within = "200ms" # ERROR: Unsupported argument
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/"
  }

  fault "pod_kill" "checkout" {}
}
