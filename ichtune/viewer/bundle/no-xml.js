// Stands in for xmlbuilder2, which only readers of XML files need and which takes 280 kB.
export function create() {
  throw new Error("XML files are not part of this build");
}
