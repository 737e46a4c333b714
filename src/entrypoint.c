/* Where R finds the package's native code. */
void R_init_starburst_extendr(void *dll);
void register_extendr_panic_hook(void);

void R_init_starburst(void *dll) {
  register_extendr_panic_hook();
  R_init_starburst_extendr(dll);
}
