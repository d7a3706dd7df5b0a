@echo off
rem Runs llamafs from a clone. Builds it first when a source changed; see the file llamafs for Linux and macOS.
setlocal
set "here=%~dp0"
set "program=%here%artifacts\llamafs\llamafs.exe"
set "stamp=%here%artifacts\llamafs.stamp"
where dotnet >nul 2>nul
if errorlevel 1 (
  echo llamafs: needs the .NET 10 SDK, but there is no dotnet on the PATH. Get it from https://dotnet.microsoft.com/download/dotnet/10.0 1>&2
  exit /b 1
)
if not exist "%program%" goto build
if not exist "%stamp%" goto build
rem LLAMAFS_BUILD_ARGS is such as -p:TorchBackend=cuda; the stamp remembers what was built.
set "built="
set /p "built=" <"%stamp%"
if not "%built%"=="%LLAMAFS_BUILD_ARGS%" goto build
rem A file's time changes when it is edited; a folder's when a file in it is added, removed or renamed.
powershell -NoProfile -Command "$s=(Get-Item '%stamp%').LastWriteTimeUtc; Set-Location '%here%'; $n=Get-ChildItem src,Directory.Build.props,Directory.Packages.props,global.json -Recurse | Where-Object LastWriteTimeUtc -gt $s | Select-Object -First 1; if ($n) { exit 1 }"
if not errorlevel 1 goto run
:build
echo llamafs: building (once; the first time also downloads about 200 MB of libtorch) ... 1>&2
if not exist "%here%artifacts" mkdir "%here%artifacts"
rem Made before the build: what is edited during it is newer.
>"%stamp%.new" echo(%LLAMAFS_BUILD_ARGS%
pushd "%here%"
dotnet build src\Cli --configuration Release -p:ReadyToRun=true --nologo --verbosity quiet -clp:NoSummary %LLAMAFS_BUILD_ARGS% 1>&2
set "failed=%errorlevel%"
popd
if not "%failed%"=="0" (
  echo llamafs: the build failed; the lines above say why. 1>&2
  exit /b 1
)
move /y "%stamp%.new" "%stamp%" >nul
:run
"%program%" %*
